//! Orders: that their parts fit together.

/// Examines orders.
pub(super) const ORDER_AMOUNTS: &str = "
  with billed as (
         -- As numeric: a price that was written by hand must be reported, not overflow.
         select order_id, sum(unit_price::numeric * quantity) as total
           from order_lines
          group by order_id
       ),
       compared as (
         select order_id as key,
                case
                  when total is null then
                    format('Order %s has no lines.', order_id)
                  when total_amount <> total then
                    format('Order %s has a total of %s won, and its lines come to %s.', order_id, total_amount, total)
                  when final_amount <> total_amount - discount_amount then
                    format('Order %s costs %s won, with a total of %s and a discount of %s.',
                           order_id, final_amount, total_amount, discount_amount)
                end as sentence
           from orders
           left join billed using (order_id)
       ),
       broken as (
         select key, sentence from compared where sentence is not null
       )
select (select count(*) from orders),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";

/// Examines orders and wallet entries.
pub(super) const COUPON_USE: &str = "
  with used as (
         select user_id, coupon_id, user_coupon_id, order_id, used_at
           from user_coupons
          where order_id is not null or used_at is not null
       ),
       compared as (
         select coalesce(orders.order_id, used.user_coupon_id) as key,
                case
                  when orders.order_id is null and used.order_id is null then
                    format('Coupon %s of %s is used, and no order is named.', used.coupon_id, used.user_id)
                  when orders.order_id is null then
                    format('Coupon %s of %s is used in order %s, which is no order of theirs with it.',
                           used.coupon_id, used.user_id, used.order_id)
                  when used.user_id is not null and used_at is null then
                    format('Coupon %s of %s is used in order %s, and nobody knows when.',
                           used.coupon_id, used.user_id, used.order_id)
                  when orders.coupon_id is not null and used.user_id is null then
                    format('Order %s uses coupon %s, and the wallet of %s does not know it.',
                           orders.order_id, orders.coupon_id, orders.user_id)
                  when orders.coupon_id is null and discount_amount <> 0 then
                    format('Order %s has a discount of %s won without a coupon.', orders.order_id, discount_amount)
                end as sentence
           from orders
           full join used
             on used.order_id = orders.order_id
            and used.user_id = orders.user_id
            and used.coupon_id = orders.coupon_id
       ),
       broken as (
         select key, sentence from compared where sentence is not null
       )
select (select count(*) from orders) + (select count(*) from user_coupons),
       (select count(*) from broken),
       array(select sentence from broken order by key, sentence limit $1)";

/// Examines orders and the rows of the outbox.
pub(super) const OUTBOX: &str = "
  with compared as (
         select coalesce(orders.order_id, order_syncs.order_id) as key,
                case
                  when order_syncs.order_id is null then
                    format('Order %s is not in the outbox.', orders.order_id)
                  when orders.order_id is null then
                    format('The outbox has order %s, which does not exist.', order_syncs.order_id)
                end as sentence
           from orders
           full join order_syncs on order_syncs.order_id = orders.order_id
       ),
       broken as (
         select key, sentence from compared where sentence is not null
       )
select (select count(*) from orders) + (select count(*) from order_syncs),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";

/// Examines order lines and wallet entries. No foreign keys hold these: they would lock rows of other groups' lanes.
pub(super) const REFERENCES: &str = "
  with broken as (
         select format('%s/%s', order_id, line) as key,
                case
                  when orders.order_id is null then
                    format('Line %s is of order %s, which does not exist.', line, order_id)
                  else
                    format('Line %s of order %s is of product %s, which does not exist.', line, order_id, product_id)
                end as sentence
           from order_lines
           left join orders using (order_id)
           left join products using (product_id)
          where orders.order_id is null or products.product_id is null
          union all
         select user_coupon_id::text,
                format('The wallet of %s holds coupon %s, which does not exist.', user_id, coupon_id)
           from user_coupons
           left join coupons using (coupon_id)
          where coupons.coupon_id is null
       )
select (select count(*) from order_lines) + (select count(*) from user_coupons),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";
