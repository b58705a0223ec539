//! First come, first served, and the fence that holds it up.

/// Examines each request in each of its lanes.
pub(super) const FIRST_COME: &str = r#"
  with decided as (
         select lane, lane_group, request_id, ticket, decision,
                lag(ticket) over (
                  -- By group, too: coupons may have been spread anew, and tickets compare only within a group.
                  partition by lane collate "C", lane_group
                  -- Two decisions of one number have no order; that must not pass by luck.
                  order by decision, ticket desc
                ) as ticket_before
           from requests
          cross join unnest(lanes) as lane
       ),
       broken as (
         select lane, decision,
                format('In lane %s, ticket %s (request %s) was decided after ticket %s.',
                       lane, ticket, request_id, ticket_before) as sentence
           from decided
          where ticket <= ticket_before
       )
select (select coalesce(sum(cardinality(lanes)), 0)::bigint from requests),
       (select count(*) from broken),
       array(select sentence from broken order by lane, decision limit $1)"#;

/// Examines lane rows.
///
/// A lane may have got its row after requests were refused because there was none, so refusals that can be given
/// without the row say nothing about it. Shoppers get theirs before they are refused anything.
pub(super) const FENCE: &str = "
  with lane_rows as (
         select 'coupon:' || coupon_id as lane, 'coupon' as kind, last_ticket from coupons
          union all
         select 'product:' || product_id, 'order', last_ticket from products
          union all
         select 'user:' || user_id, 'order', last_ticket from users
       ),
       decided as (
         select lane, max(ticket) as highest
           from requests
          cross join unnest(lanes) as lane
          where starts_with(lane, 'user:')
             -- No such product, no such coupon; parked, or refused for its key, before anybody looked.
             or coalesce(outcome ->> 'code', '') not in ('P001', 'C002', 'X003', 'R002')
          group by lane
       ),
       newest as (
         -- Coupons may be spread over groups (coupon, coupon-1, …); each keeps its newest batch for ever.
         select split_part(lane_group, '-', 1) as kind, max(last_ticket) as highest
           from batches
          group by split_part(lane_group, '-', 1)
       ),
       compared as (
         select lane,
                case
                  when decided.highest > last_ticket then
                    format('The fence of %s stands at ticket %s, and ticket %s was decided.',
                           lane, last_ticket, decided.highest)
                  -- Such a fence would refuse those who come next.
                  when last_ticket > coalesce(newest.highest, 0) then
                    format('The fence of %s stands at ticket %s, and no batch went beyond ticket %s.',
                           lane, last_ticket, coalesce(newest.highest, 0))
                end as sentence
           from lane_rows
           left join decided using (lane)
           left join newest using (kind)
       ),
       broken as (
         select lane, sentence from compared where sentence is not null
       )
select (select count(*) from lane_rows),
       (select count(*) from broken),
       array(select sentence from broken order by lane limit $1)";
