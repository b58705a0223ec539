//! What was answered, and what came of it. How retention matters here stands in the module above.

/// Examines requests for coupons and orders, wallet entries, and orders.
pub(super) const ONE_OUTCOME: &str = "
  with made as (
         select user_coupon_id as id, 'COUPON_ISSUE' as kind, user_id, 'coupon:' || coupon_id as lane,
                issued_at as made_at, 'a wallet entry' as what
           from user_coupons
          union all
         select order_id, 'ORDER_PLACEMENT', user_id, 'user:' || user_id, created_at, 'an order'
           from orders
       ),
       -- From a request to what it made. A wallet entry of the same id in a second wallet is found as a stranger's.
       asked as (
         select request_id as key,
                case
                  when made.id is null and status = 'SUCCEEDED' and repeat_of is null then
                    format('Request %s (%s) succeeded, and what it made is not there.', request_id, requests.kind)
                  when made.id is not null and status = 'FAILED' then
                    format('Request %s was refused, and there is %s of it.', request_id, what)
                  when made.id is not null and repeat_of is not null then
                    format('Request %s only repeats %s, and there is %s of it.', request_id, repeat_of, what)
                  when made.id is not null
                       and (made.user_id is distinct from requests.user_id or made.lane <> all (lanes)) then
                    format('Request %s of %s made %s of somebody else: of %s, in lane %s.',
                           request_id, requests.user_id, what, made.user_id, made.lane)
                end as sentence
           from requests
           left join made on made.id = request_id and made.kind = requests.kind
          where requests.kind in ('COUPON_ISSUE', 'ORDER_PLACEMENT')
       ),
       -- From what was made to its request: first what has none …
       unasked as materialized (
         select id, made_at, what
           from made
          where not exists (select from requests where request_id = id and requests.kind = made.kind)
       ),
       -- … then whether it must have one: by id, the earliest decision among all the older requests that are kept.
       -- Reads no request at all where everything has one, and else only those below the newest that has none.
       timeline as (
         select id, made_at, what, min(decided_at) over (order by id) as earliest_decision
           from (select request_id as id, decided_at, null::timestamptz as made_at, null as what
                   from requests
                  where request_id < (select id from unasked order by id desc limit 1)
                  union all
                 select id, null, made_at, what
                   from unasked) as both_kinds
       ),
       lost as (
         select id as key, format('There is %s that nobody asked for: %s.', what, id) as sentence
           from timeline
          where made_at is not null
            and (earliest_decision < made_at or made_at > now() - make_interval(hours => $2::int))
       ),
       -- A repeat and the one that it repeats. Where that one is gone, its id (a UUIDv7) says when it was asked: what
       -- was asked lately was decided lately.
       repeated as (
         select repeats.request_id as key,
                case
                  when originals.request_id is not null then
                    format('Request %s repeats %s, and has another outcome.', repeats.request_id, repeats.repeat_of)
                  else
                    format('Request %s repeats %s, which does not exist.', repeats.request_id, repeats.repeat_of)
                end as sentence
           from requests as repeats
           left join requests as originals on originals.request_id = repeats.repeat_of
          where repeats.repeat_of is not null
            and case
                  when originals.request_id is not null then
                    (repeats.status, repeats.outcome) is distinct from (originals.status, originals.outcome)
                  else
                    to_timestamp(('x' || translate(left(repeats.repeat_of::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
                      > now() - make_interval(hours => $2::int)
                end
       ),
       broken as (
         select key, sentence from asked where sentence is not null
          union all
         select key, sentence from lost
          union all
         select key, sentence from repeated
       )
select (select count(*) from requests where kind in ('COUPON_ISSUE', 'ORDER_PLACEMENT'))
         + (select count(*) from user_coupons) + (select count(*) from orders),
       (select count(*) from broken),
       array(select sentence from broken order by key, sentence limit $1)";

/// Examines batches. A charge has a batch of its own from the moment on when it begins, and may be settled much later; it is
/// examined with the money.
pub(super) const BATCH_COUNTS: &str = "
  with held as (
         select batch_id, lane_group, count(*) as commands, min(ticket) as lowest, max(ticket) as highest,
                max(decided_at) as decided_at
           from requests
          where lane_group <> 'charge'
          group by batch_id, lane_group
       ),
       made as (
         select batch_id, lane_group, first_ticket, last_ticket, size, decided_at
           from batches
          where lane_group <> 'charge'
       ),
       compared as (
         select batch_id as key,
                case
                  when size is null then
                    case when held.decided_at > now() - make_interval(hours => $2::int) then
                      format('Batch %s of group %s does not exist, and holds %s requests.', batch_id, lane_group, commands)
                    end
                  when commands > size then
                    format('Batch %s has a size of %s, and holds %s requests.', batch_id, size, commands)
                  when coalesce(commands, 0) < size
                       and made.decided_at > now() - make_interval(hours => $2::int) then
                    format('Batch %s has a size of %s, and holds %s requests.', batch_id, size, coalesce(commands, 0))
                  when lowest < first_ticket or highest > last_ticket then
                    format('Batch %s goes from ticket %s to %s, and holds tickets %s to %s.',
                           batch_id, first_ticket, last_ticket, lowest, highest)
                end as sentence
           from made
           full join held using (batch_id, lane_group)
       ),
       broken as (
         select key, sentence from compared where sentence is not null
       )
select (select count(*) from made),
       (select count(*) from broken),
       array(select sentence from broken order by key, sentence limit $1)";
