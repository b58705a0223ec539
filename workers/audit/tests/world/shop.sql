-- A small shop after a quiet hour, made by hand. Everything in it is as the shop's own workers would have left it.
--
-- Claims (group coupon): u1 and u2 get C1, u2 gets the only C2, u3 comes too late; then u1 asks for C1 again with the
-- same key, and u3 asks for C3 before an operator makes it.
-- Orders (group order): u1 with C1, u2 without a coupon, u2 with C2, which pays all of it; u1 asks for more than there
-- is, and u3 for a product that does not exist.
-- Charges (group charge): that of u3 succeeds, of that of u1 the gateway has not said yet what came of it, and u2's card is
-- declined.

insert into coupons (coupon_id, name, discount_type, discount_value, total_quantity, issued_quantity, last_ticket)
values ('C1', 'five hundred off', 'FIXED', 500, 3, 2, 5),
       ('C2', 'for nothing', 'PERCENT', 100, 1, 1, 4),
       ('C3', 'made late', 'FIXED', 100, 9, 0, 0);

insert into products (product_id, name, price, stock, stocked, last_ticket)
values ('P1', 'cup', 1000, 7, 10, 5),
       ('P2', 'spoon', 500, 3, 5, 4),
       ('P3', 'plate', 900, 3, 3, 0);

insert into users (user_id, balance, last_ticket)
values ('u1', 8000, 4),
       ('u2', 4000, 3),
       ('u3', 700, 5);

insert into batches (batch_id, lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
overriding system value
values (1, 'coupon', 1, 4, 4, 'w', now() - interval '51 minutes', now() - interval '50 minutes'),
       (2, 'coupon', 5, 6, 2, 'w', now() - interval '41 minutes', now() - interval '40 minutes'),
       (3, 'order', 1, 2, 2, 'w', now() - interval '31 minutes', now() - interval '30 minutes'),
       (4, 'order', 3, 5, 3, 'w', now() - interval '21 minutes', now() - interval '20 minutes'),
       (5, 'charge', 1, 1, 1, 'w', now() - interval '56 minutes', now() - interval '55 minutes'),
       (6, 'charge', 2, 2, 1, 'w', now() - interval '46 minutes', now() - interval '45 minutes'),
       (7, 'charge', 3, 3, 1, 'w', now() - interval '36 minutes', now() - interval '35 minutes');

insert into requests (request_id, lane_group, ticket, decision, batch_id, kind, user_id, lanes, status, outcome,
                      accepted_at, decided_at, repeat_of)
select made.request_id::uuid, batches.lane_group, made.ticket, made.decision, made.batch_id, made.kind, made.user_id,
       string_to_array(made.lanes, ' '), made.status, made.outcome::jsonb,
       batches.claimed_at, batches.decided_at, made.repeat_of::uuid
  from (values
         ('019a0000-0001-7000-8000-000000000040', 1, 1, 1, 'COUPON_ISSUE', 'u1', 'coupon:C1', 'SUCCEEDED', '{"couponId": "C1"}', null),
         ('019a0000-0002-7000-8000-000000000040', 2, 2, 1, 'COUPON_ISSUE', 'u2', 'coupon:C1', 'SUCCEEDED', '{"couponId": "C1"}', null),
         ('019a0000-0003-7000-8000-000000000040', 3, 3, 1, 'COUPON_ISSUE', 'u2', 'coupon:C2', 'SUCCEEDED', '{"couponId": "C2"}', null),
         ('019a0000-0004-7000-8000-000000000040', 4, 4, 1, 'COUPON_ISSUE', 'u3', 'coupon:C2', 'FAILED', '{"code": "C001"}', null),
         ('019a0000-0005-7000-8000-000000000040', 5, 5, 2, 'COUPON_ISSUE', 'u1', 'coupon:C1', 'SUCCEEDED', '{"couponId": "C1"}',
          '019a0000-0001-7000-8000-000000000040'),
         ('019a0000-0006-7000-8000-000000000040', 6, 6, 2, 'COUPON_ISSUE', 'u3', 'coupon:C3', 'FAILED', '{"code": "C002"}', null),
         ('019a0000-0011-7000-8000-000000000080', 1, 7, 3, 'ORDER_PLACEMENT', 'u1', 'product:P1 product:P2 user:u1', 'SUCCEEDED', '{}', null),
         ('019a0000-0012-7000-8000-000000000080', 2, 8, 3, 'ORDER_PLACEMENT', 'u2', 'product:P1 user:u2', 'SUCCEEDED', '{}', null),
         ('019a0000-0013-7000-8000-000000000080', 3, 9, 4, 'ORDER_PLACEMENT', 'u2', 'product:P2 user:u2', 'SUCCEEDED', '{}', null),
         ('019a0000-0014-7000-8000-000000000080', 4, 10, 4, 'ORDER_PLACEMENT', 'u1', 'product:P2 user:u1', 'FAILED', '{"code": "P002"}', null),
         ('019a0000-0015-7000-8000-000000000080', 5, 11, 4, 'ORDER_PLACEMENT', 'u3', 'product:P1 product:P9 user:u3', 'FAILED', '{"code": "P001"}', null)
       ) as made (request_id, ticket, decision, batch_id, kind, user_id, lanes, status, outcome, repeat_of)
  join batches using (batch_id);

insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at, used_at, order_id)
select held.user_id, coupon_id, claims.request_id, claims.decided_at, orders.decided_at, orders.request_id
  from (values
         ('u1', 'C1', '019a0000-0001-7000-8000-000000000040', '019a0000-0011-7000-8000-000000000080'),
         ('u2', 'C1', '019a0000-0002-7000-8000-000000000040', null),
         ('u2', 'C2', '019a0000-0003-7000-8000-000000000040', '019a0000-0013-7000-8000-000000000080')
       ) as held (user_id, coupon_id, id, order_id)
  join requests as claims on claims.request_id = held.id::uuid
  left join requests as orders on orders.request_id = held.order_id::uuid;

insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, coupon_id, created_at)
select request_id, user_id, total, discount, total - discount, coupon_id, decided_at
  from (values
         ('019a0000-0011-7000-8000-000000000080', 2500, 500, 'C1'),
         ('019a0000-0012-7000-8000-000000000080', 1000, 0, null),
         ('019a0000-0013-7000-8000-000000000080', 500, 500, 'C2')
       ) as placed (id, total, discount, coupon_id)
  join requests on request_id = placed.id::uuid;

insert into order_lines (order_id, line, product_id, quantity, unit_price)
values ('019a0000-0011-7000-8000-000000000080', 1, 'P1', 2, 1000),
       ('019a0000-0011-7000-8000-000000000080', 2, 'P2', 1, 500),
       ('019a0000-0012-7000-8000-000000000080', 1, 'P1', 1, 1000),
       ('019a0000-0013-7000-8000-000000000080', 1, 'P2', 1, 500);

insert into order_syncs (order_id) select order_id from orders;

insert into ledger (user_id, entry, kind, amount, balance_after, reference_id, created_at)
overriding system value
values ('u1', 1, 'OPENING', 10000, 10000, '019a0000-0000-7000-8000-000000000001', now() - interval '60 minutes'),
       ('u2', 2, 'OPENING', 5000, 5000, '019a0000-0000-7000-8000-000000000002', now() - interval '60 minutes'),
       ('u3', 3, 'CHARGE', 700, 700, '019a0000-0021-7000-8000-0000000000c0', now() - interval '55 minutes'),
       ('u1', 4, 'ORDER', -2000, 8000, '019a0000-0011-7000-8000-000000000080', now() - interval '30 minutes'),
       ('u2', 5, 'ORDER', -1000, 4000, '019a0000-0012-7000-8000-000000000080', now() - interval '30 minutes');

insert into charges (charge_id, user_id, amount, payment_method, ticket, decision, batch_id, accepted_at, began_at, status,
                     settled_at)
select id::uuid, user_id, amount, 'pm_card_visa', ticket, 20 + ticket, batch_id, claimed_at, decided_at, status,
       case when status <> 'PENDING' then decided_at end
  from (values
         ('019a0000-0021-7000-8000-0000000000c0', 'u3', 700, 1, 'SUCCEEDED'),
         ('019a0000-0022-7000-8000-0000000000c0', 'u1', 300, 2, 'PENDING'),
         ('019a0000-0023-7000-8000-0000000000c0', 'u2', 900, 3, 'FAILED')
       ) as made (id, user_id, amount, ticket, status)
  join batches on lane_group = 'charge' and first_ticket = ticket;

insert into requests (request_id, lane_group, ticket, decision, batch_id, kind, user_id, lanes, status, outcome,
                      accepted_at, decided_at)
select charge_id, 'charge', ticket, decision, batch_id, 'BALANCE_CHARGE', user_id, array['charge:' || user_id], status, '{}',
       accepted_at, settled_at
  from charges
 where status <> 'PENDING';
