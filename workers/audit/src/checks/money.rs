//! Every won: where it came from, and what it was spent on.

/// Examines users.
pub(super) const BALANCE_IS_LEDGER: &str = "
  with booked as (
         select user_id, sum(amount) as total
           from ledger
          group by user_id
       ),
       compared as (
         select coalesce(booked.user_id, users.user_id) as key,
                case
                  when users.user_id is null then
                    format('The ledger has entries of %s, who is no user.', booked.user_id)
                  when users.balance <> coalesce(booked.total, 0) then
                    format('User %s has a balance of %s won, and the ledger adds up to %s.',
                           users.user_id, users.balance, coalesce(booked.total, 0))
                end as sentence
           from users
           full join booked on booked.user_id = users.user_id
       ),
       broken as (
         select key, sentence from compared where sentence is not null
       )
select (select count(*) from users),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";

/// Examines ledger entries.
pub(super) const LEDGER_CHAIN: &str = "
  with summed as (
         select user_id, entry, balance_after,
                sum(amount) over (partition by user_id order by entry) as sum_so_far
           from ledger
       ),
       broken as (
         select user_id, entry,
                format('Ledger entry %s of %s says %s won afterwards; the entries up to it add up to %s.',
                       entry, user_id, balance_after, sum_so_far) as sentence
           from summed
          -- A chain that adds up below zero is money spent that nobody had.
          where balance_after <> sum_so_far or balance_after < 0
       )
select (select count(*) from ledger),
       (select count(*) from broken),
       array(select sentence from broken order by user_id, entry limit $1)";

/// Examines orders, and ledger entries of orders.
pub(super) const ORDER_PAID: &str = "
  with paid as (
         select reference_id as order_id, count(*) as entries, sum(amount) as amount, min(user_id) as user_id
           from ledger
          where kind = 'ORDER'
          group by reference_id
       ),
       compared as (
         select coalesce(orders.order_id, paid.order_id) as key,
                case
                  when orders.order_id is null then
                    format('The ledger of %s pays for order %s, which does not exist.', paid.user_id, paid.order_id)
                  when final_amount = 0 and entries > 0 then
                    format('Order %s costs nothing, and the ledger pays %s won for it.',
                           orders.order_id, -paid.amount)
                  when final_amount > 0 and entries is null then
                    format('Order %s over %s won is not paid.', orders.order_id, final_amount)
                  when entries > 1 then
                    format('Order %s is paid %s times.', orders.order_id, entries)
                  when paid.amount <> -final_amount then
                    format('Order %s costs %s won, and %s were paid.', orders.order_id, final_amount, -paid.amount)
                  -- Here there is one entry, so there is one payer.
                  when paid.user_id <> orders.user_id then
                    format('Order %s of %s is paid by %s.', orders.order_id, orders.user_id, paid.user_id)
                end as sentence
           from orders
           full join paid on paid.order_id = orders.order_id
       ),
       broken as (
         select key, sentence from compared where sentence is not null
       )
select (select count(*) from orders) + (select count(*) from ledger where kind = 'ORDER'),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";

/// Examines charges, and ledger entries of charges.
///
/// Retention may have removed the request of a charge that was settled, never that of one which was settled lately.
pub(super) const CHARGES: &str = "
  with credited as (
         select reference_id as charge_id, count(*) as entries, sum(amount) as amount, min(user_id) as user_id
           from ledger
          where kind = 'CHARGE'
          group by reference_id
       ),
       compared as (
         select coalesce(charges.charge_id, credited.charge_id) as key,
                case
                  when charges.charge_id is null then
                    format('The ledger of %s credits charge %s, which does not exist.',
                           credited.user_id, credited.charge_id)
                  when entries > 1 then
                    format('Charge %s is credited %s times.', charges.charge_id, entries)
                  when charges.repeat_of is not null and entries > 0 then
                    format('Charge %s only repeats %s, and is credited.', charges.charge_id, charges.repeat_of)
                  when charges.status <> 'SUCCEEDED' and entries > 0 then
                    format('Charge %s is %s, and is credited.', charges.charge_id, charges.status)
                  when charges.status = 'SUCCEEDED' and charges.repeat_of is null and entries is null then
                    format('Charge %s of %s won succeeded, and is not credited.', charges.charge_id, charges.amount)
                  when credited.amount <> charges.amount then
                    format('Charge %s is over %s won, and %s were credited.',
                           charges.charge_id, charges.amount, credited.amount)
                  when credited.user_id <> charges.user_id then
                    format('Charge %s of %s is credited to %s.', charges.charge_id, charges.user_id, credited.user_id)
                  when charges.status = 'PENDING' and requests.request_id is not null then
                    format('Charge %s is pending, and its request has an outcome.', charges.charge_id)
                  when requests.status <> charges.status then
                    format('Charge %s is %s, and its request %s.', charges.charge_id, charges.status, requests.status)
                  when charges.status <> 'PENDING' and requests.request_id is null
                       and settled_at > now() - make_interval(hours => $2::int) then
                    format('Charge %s is settled, and its request has no outcome.', charges.charge_id)
                end as sentence
           from charges
           full join credited on credited.charge_id = charges.charge_id
           left join requests on requests.request_id = charges.charge_id
       ),
       broken as (
         select key, sentence from compared where sentence is not null
       )
select (select count(*) from charges) + (select count(*) from ledger where kind = 'CHARGE'),
       (select count(*) from broken),
       array(select sentence from broken order by key limit $1)";
