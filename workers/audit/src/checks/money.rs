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
