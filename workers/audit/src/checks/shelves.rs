//! What there is to give away: nothing is sold that was not there.

/// Examines coupons.
pub(super) const COUPON_QUANTITY: &str = "
  with held as (
         select coupon_id, count(*) as units
           from user_coupons
          group by coupon_id
       ),
       broken as (
         select coupon_id as key,
                format('Coupon %s exists %s times and was issued %s times.',
                       coupon_id, total_quantity, greatest(issued_quantity, units)) as sentence
           from coupons
           left join held using (coupon_id)
          -- By the counter and by the wallets: one that was set back must not hide what was given away.
          where greatest(issued_quantity, units) > total_quantity
       )
select (select count(*) from coupons),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";

/// Examines coupons.
pub(super) const COUPON_COUNTER: &str = "
  with held as (
         select coupon_id, count(*) as units
           from user_coupons
          group by coupon_id
       ),
       broken as (
         select coupon_id as key,
                format('Coupon %s counts %s units issued, and wallets hold %s.',
                       coupon_id, issued_quantity, coalesce(units, 0)) as sentence
           from coupons
           left join held using (coupon_id)
          where issued_quantity <> coalesce(units, 0)
       )
select (select count(*) from coupons),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";

/// Examines products.
pub(super) const STOCK_COUNTER: &str = "
  with sold as (
         select product_id, sum(quantity) as pieces
           from order_lines
          group by product_id
       ),
       broken as (
         select product_id as key,
                format('Product %s has %s in stock; %s were put on the shelf and %s were sold.',
                       product_id, stock, stocked, coalesce(pieces, 0)) as sentence
           from products
           left join sold using (product_id)
          -- A shelf that counts correctly below zero was oversold.
          where stock <> stocked - coalesce(pieces, 0) or stock < 0
       )
select (select count(*) from products),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";
