//! What may happen to the shop of `shop.sql`, and what the audit must find then.
//!
//! Requests are called by group and ticket, orders by the ticket of their request: the order of ticket 2 has 0012 in
//! its id.

/// The shop as it was ten days ago, so that retention may have been at work in it.
macro_rules! long_ago {
    ($then:literal) => {
        concat!(
            "update requests     set accepted_at = accepted_at - interval '10 days',
                                     decided_at = decided_at - interval '10 days';
             update batches      set claimed_at = claimed_at - interval '10 days',
                                     decided_at = decided_at - interval '10 days';
             update user_coupons set issued_at = issued_at - interval '10 days',
                                     used_at = used_at - interval '10 days';
             update orders       set created_at = created_at - interval '10 days';
             update charges      set settled_at = settled_at - interval '10 days';",
            $then
        )
    };
}

/// Changes that break no promise.
pub const HARMLESS: &[&str] = &[
    // What operators do.
    "update coupons set total_quantity = 9",
    "update products set stock = stock + 5, stocked = stocked + 5, price = price * 2",
    "insert into users (user_id) values ('u9')",
    // A product that was asked for before it was there.
    "insert into products (product_id, name, price, stock, stocked) values ('P9', 'late', 1, 1, 1)",
    // Coupons were spread over more groups, and tickets of the new one begin anew.
    "insert into batches (batch_id, lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
     overriding system value values (9, 'coupon-1', 1, 1, 1, 'w', now(), now());
     insert into requests (request_id, lane_group, ticket, decision, batch_id, kind, user_id, lanes, status, outcome,
                           accepted_at, decided_at)
     values (gen_random_uuid(), 'coupon-1', 1, 12, 9, 'COUPON_ISSUE', 'u1', '{coupon:C1}', 'FAILED',
             '{\"code\": \"C004\"}', now(), now())",
    // They were spread when the tickets of the old group were lower.
    "insert into batches (batch_id, lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
     overriding system value values (9, 'coupon-1', 9, 9, 1, 'w', now(), now());
     insert into requests (request_id, lane_group, ticket, decision, batch_id, kind, user_id, lanes, status, outcome,
                           accepted_at, decided_at)
     values (gen_random_uuid(), 'coupon-1', 9, 12, 9, 'COUPON_ISSUE', 'u1', '{coupon:C1}', 'FAILED',
             '{\"code\": \"C004\"}', now(), now());
     update coupons set last_ticket = 9 where coupon_id = 'C1'",
    // C3 was not there yet, and nobody looked for it either.
    "update requests set outcome = '{\"code\": \"X003\"}' where lane_group = 'coupon' and ticket = 6",
    "update requests set outcome = '{\"code\": \"R002\"}' where lane_group = 'coupon' and ticket = 6",
    // Retention, by id: in the middle of a batch, and between a request and its repeat.
    long_ago!("delete from requests where request_id < '019a0000-0012-7000-8000-000000000080'"),
    long_ago!("delete from requests where request_id < '019a0000-0005-7000-8000-000000000040'"),
    // Retention by decision, of a shop where the oldest request waited for the last batch.
    long_ago!(
        "update requests set batch_id = 2 where lane_group = 'coupon' and ticket = 1;
         update requests set decided_at = (select decided_at from batches where batch_id = 4)
          where lane_group = 'coupon' and ticket = 1;
         update batches set first_ticket = 1, size = 3 where batch_id = 2;
         update batches set size = 3 where batch_id = 1;
         update requests set decision = 12 where lane_group = 'coupon' and ticket = 1;
         delete from requests where lane_group = 'coupon' and ticket = 5;
         delete from requests where decided_at < (select decided_at from batches where batch_id = 4)"
    ),
    // Retention by id as far as the decision is old enough, half way through such a shop: what it has not come to yet
    // was decided earlier than what it removed.
    long_ago!(
        "update requests set decided_at = decided_at - interval '1 minute' where lane_group = 'order' and ticket = 2;
         update requests set decided_at = (select decided_at from batches where batch_id = 4), decision = 12
          where lane_group = 'coupon' and ticket = 1;
         delete from requests where lane_group = 'coupon' and ticket = 5;
         delete from requests where request_id < '019a0000-0012-7000-8000-000000000080'
                                and decided_at < (select decided_at from batches where batch_id = 4)"
    ),
    // Retention of everything, and of all batches but the newest of each group.
    long_ago!("delete from requests"),
    long_ago!("delete from requests; delete from batches where batch_id in (1, 3)"),
    long_ago!("delete from batches where batch_id in (1, 3)"),
];

/// Changes that break promises: which checks find how many violations. All other checks must still hold.
pub const BREAKAGES: &[(&str, &[(&str, i64)])] = &[
    // coupon_quantity
    ("update coupons set total_quantity = 1 where coupon_id = 'C1'", &[("coupon_quantity", 1)]),
    ("update coupons set total_quantity = 0", &[("coupon_quantity", 2)]),
    ("update coupons set issued_quantity = 4 where coupon_id = 'C1'", &[("coupon_quantity", 1), ("coupon_counter", 1)]),
    // The counter knows nothing of it, and the coupon was given away twice all the same.
    (
        "insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at)
         values ('u3', 'C2', gen_random_uuid(), now())",
        &[("coupon_quantity", 1), ("coupon_counter", 1), ("one_outcome", 1)],
    ),
    // coupon_counter
    ("update coupons set issued_quantity = 1 where coupon_id = 'C1'", &[("coupon_counter", 1)]),
    ("update coupons set issued_quantity = 1 where coupon_id = 'C3'", &[("coupon_counter", 1)]),
    (
        "delete from user_coupons where user_id = 'u2' and coupon_id = 'C1'",
        &[("coupon_counter", 1), ("one_outcome", 1)],
    ),
    // stock_counter
    ("update products set stock = stock + 1 where product_id = 'P1'", &[("stock_counter", 1)]),
    ("update products set stocked = stocked + 1", &[("stock_counter", 3)]),
    // Counted correctly, and oversold.
    ("update products set stocked = 2, stock = -1 where product_id = 'P1'", &[("stock_counter", 1)]),
    (
        "update order_lines set quantity = 2 where order_id::text like '%0013-%'",
        &[("stock_counter", 1), ("order_amounts", 1)],
    ),
    // balance_is_ledger
    ("update users set balance = balance + 1 where user_id = 'u1'", &[("balance_is_ledger", 1)]),
    ("update users set balance = 0", &[("balance_is_ledger", 3)]),
    ("insert into users (user_id, balance) values ('u9', 5)", &[("balance_is_ledger", 1)]),
    ("delete from users where user_id = 'u3'", &[("balance_is_ledger", 1)]),
    // ledger_chain
    ("update ledger set balance_after = balance_after + 1 where entry = 1", &[("ledger_chain", 1)]),
    ("update ledger set balance_after = 9000 - balance_after where user_id = 'u2'", &[("ledger_chain", 2)]),
    ("update ledger set amount = amount + 1 where entry = 1", &[("balance_is_ledger", 1), ("ledger_chain", 2)]),
    // It all adds up, below zero.
    (
        "update ledger set amount = -700, balance_after = -700 where user_id = 'u3';
         update users set balance = -700 where user_id = 'u3'",
        &[("ledger_chain", 1), ("charges", 1)],
    ),
    // first_come
    ("update requests set decision = 3 - decision where lanes = '{coupon:C1}' and ticket < 3", &[("first_come", 1)]),
    ("update requests set decision = 15 - decision where batch_id = 3", &[("first_come", 1)]),
    // Late in each of its three lanes.
    ("update requests set decision = 12 where lane_group = 'order' and ticket = 1", &[("first_come", 3)]),
    ("update requests set decision = 1 where lane_group = 'coupon' and ticket = 2", &[("first_come", 1)]),
    ("update requests set ticket = 1 where lane_group = 'coupon' and ticket = 2", &[("first_come", 1)]),
    // fence
    ("update coupons set last_ticket = 4 where coupon_id = 'C1'", &[("fence", 1)]),
    ("update products set last_ticket = 0", &[("fence", 2)]),
    // Refusals move the fence, too.
    ("update products set last_ticket = 3 where product_id = 'P2'", &[("fence", 1)]),
    ("update coupons set last_ticket = 3 where coupon_id = 'C2'", &[("fence", 1)]),
    // A refusal that needs no product still moves the fence of its shopper.
    ("update users set last_ticket = 4 where user_id = 'u3'", &[("fence", 1)]),
    ("update users set last_ticket = 6 where user_id = 'u1'", &[("fence", 1)]),
    ("update coupons set last_ticket = 7 where coupon_id = 'C3'", &[("fence", 1)]),
    // What Redis would be seeded from is gone.
    ("delete from batches where batch_id = 4", &[("fence", 5), ("batch_counts", 1)]),
    // one_outcome: a request and what it made
    ("update requests set status = 'FAILED' where lanes = '{coupon:C1}' and ticket = 2", &[("one_outcome", 1)]),
    ("update requests set status = 'FAILED' where lane_group = 'order' and ticket = 1", &[("one_outcome", 1)]),
    ("update requests set status = 'SUCCEEDED' where lanes = '{coupon:C2}' and ticket = 4", &[("one_outcome", 1)]),
    ("update requests set status = 'SUCCEEDED' where lane_group = 'order' and ticket = 4", &[("one_outcome", 1)]),
    ("update requests set kind = 'ORDER_PLACEMENT' where lane_group = 'coupon' and ticket = 2", &[("one_outcome", 2)]),
    ("update user_coupons set user_id = 'u3' where user_id = 'u2' and coupon_id = 'C1'", &[("one_outcome", 1)]),
    (
        "update user_coupons set coupon_id = 'C3' where user_id = 'u2' and coupon_id = 'C1'",
        &[("coupon_counter", 2), ("one_outcome", 1)],
    ),
    (
        "insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at)
         select 'u3', coupon_id, user_coupon_id, issued_at from user_coupons where user_id = 'u2' and coupon_id = 'C1'",
        &[("coupon_counter", 1), ("one_outcome", 1)],
    ),
    ("update orders set user_id = 'u3' where order_id::text like '%0013-%'", &[("one_outcome", 1), ("coupon_use", 2)]),
    // … what nobody asked for, lately and long ago
    ("delete from requests where lane_group = 'coupon' and ticket = 1", &[("one_outcome", 1), ("batch_counts", 1)]),
    ("delete from requests", &[("one_outcome", 6), ("batch_counts", 4), ("charges", 2)]),
    (
        "insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
         values (gen_random_uuid(), 'u1', 0, 0, 0, now())",
        &[("one_outcome", 1), ("order_amounts", 1), ("outbox", 1)],
    ),
    (long_ago!("delete from requests where lane_group = 'order' and ticket = 2"), &[("one_outcome", 1)]),
    (
        long_ago!("delete from requests where batch_id = 3 or (lane_group = 'coupon' and ticket = 1)"),
        &[("one_outcome", 2)],
    ),
    // … and repeats
    ("update requests set status = 'FAILED' where lane_group = 'coupon' and ticket = 1", &[("one_outcome", 2)]),
    ("update requests set status = 'FAILED' where repeat_of is not null", &[("one_outcome", 1)]),
    ("update requests set outcome = '{\"couponId\": \"C2\"}' where repeat_of is not null", &[("one_outcome", 1)]),
    (
        "update requests set repeat_of = 'ffffffff-ffff-7fff-bfff-ffffffffffff' where repeat_of is not null",
        &[("one_outcome", 1)],
    ),
    (
        "update requests set repeat_of = '019a0000-0001-7000-8000-000000000040'
          where lanes = '{coupon:C1}' and ticket = 2",
        &[("one_outcome", 1)],
    ),
    (
        "update user_coupons set user_coupon_id = '019a0000-0005-7000-8000-000000000040'
          where user_id = 'u1' and coupon_id = 'C1'",
        &[("one_outcome", 2)],
    ),
    // batch_counts
    ("update batches set size = size + 1 where batch_id = 1", &[("batch_counts", 1)]),
    ("update batches set size = size - 1", &[("batch_counts", 4)]),
    (long_ago!("update batches set size = size - 1 where batch_id = 1"), &[("batch_counts", 1)]),
    ("update batches set first_ticket = 2 where batch_id = 1", &[("batch_counts", 1)]),
    ("update batches set last_ticket = 3 where batch_id = 1", &[("batch_counts", 1)]),
    ("delete from requests where lane_group = 'order' and ticket = 4", &[("batch_counts", 1)]),
    ("delete from batches where batch_id = 1", &[("batch_counts", 1)]),
    ("update requests set batch_id = 1 where lane_group = 'coupon' and ticket = 5", &[("batch_counts", 2)]),
    ("update requests set lane_group = 'coupon' where lane_group = 'order' and ticket = 4", &[("batch_counts", 2)]),
    // order_amounts
    ("update order_lines set unit_price = 999 where order_id::text like '%0012-%'", &[("order_amounts", 1)]),
    // More than 64 bits hold.
    ("update order_lines set unit_price = 9223372036854775807 where line = 1", &[("order_amounts", 3)]),
    ("update orders set discount_amount = 499 where order_id::text like '%0011-%'", &[("order_amounts", 1)]),
    (
        "update orders set final_amount = 1999 where order_id::text like '%0011-%'",
        &[("order_amounts", 1), ("order_paid", 1)],
    ),
    (
        "update orders set total_amount = 1001, final_amount = 1001 where order_id::text like '%0012-%'",
        &[("order_amounts", 1), ("order_paid", 1)],
    ),
    ("delete from order_lines where order_id::text like '%0012-%'", &[("stock_counter", 1), ("order_amounts", 1)]),
    // order_paid
    ("update ledger set kind = 'CHARGE' where entry = 4", &[("order_paid", 1), ("charges", 1)]),
    ("update ledger set kind = 'ORDER' where entry = 3", &[("order_paid", 1), ("charges", 1)]),
    // charges
    ("delete from charges where status = 'SUCCEEDED'", &[("charges", 1)]),
    ("update charges set amount = 900 where status = 'SUCCEEDED'", &[("charges", 1)]),
    ("update charges set user_id = 'u1' where status = 'SUCCEEDED'", &[("charges", 1)]),
    ("update charges set repeat_of = gen_random_uuid() where status = 'SUCCEEDED'", &[("charges", 1)]),
    ("update charges set status = 'SUCCEEDED', settled_at = now() where status = 'PENDING'", &[("charges", 1)]),
    ("update charges set status = 'SUCCEEDED' where status = 'FAILED'", &[("charges", 1)]),
    ("update charges set status = 'PENDING', settled_at = null where status = 'SUCCEEDED'", &[("charges", 1)]),
    ("update charges set status = 'PENDING', settled_at = null where status = 'FAILED'", &[("charges", 1)]),
    ("update requests set status = 'SUCCEEDED' where lane_group = 'charge' and ticket = 3", &[("charges", 1)]),
    ("delete from requests where lane_group = 'charge'", &[("charges", 2)]),
    (
        "insert into ledger (user_id, entry, kind, amount, balance_after, reference_id, created_at)
         overriding system value
         select user_id, 6, kind, 700, 1400, reference_id, created_at from ledger where entry = 3;
         update users set balance = 1400 where user_id = 'u3'",
        &[("charges", 1)],
    ),
    ("update ledger set reference_id = gen_random_uuid() where entry = 5", &[("order_paid", 2)]),
    // It comes to the right sum, in two parts.
    (
        "update ledger set amount = -500, balance_after = 4500 where entry = 5;
         insert into ledger (user_id, entry, kind, amount, balance_after, reference_id, created_at)
         overriding system value
         select user_id, 6, kind, -500, 4000, reference_id, created_at from ledger where entry = 5",
        &[("order_paid", 1)],
    ),
    // Paid twice, and another one not; paid, and free.
    ("update ledger set reference_id = '019a0000-0011-7000-8000-000000000080' where entry = 5", &[("order_paid", 2)]),
    ("update ledger set reference_id = '019a0000-0013-7000-8000-000000000080' where entry = 5", &[("order_paid", 2)]),
    (
        "update ledger set user_id = 'u3' where entry = 5",
        &[("balance_is_ledger", 2), ("ledger_chain", 1), ("order_paid", 1)],
    ),
    (
        "update orders set discount_amount = 1000, final_amount = 0 where order_id::text like '%0012-%'",
        &[("order_paid", 1), ("coupon_use", 1)],
    ),
    // coupon_use
    ("update user_coupons set used_at = null, order_id = null where user_id = 'u1'", &[("coupon_use", 1)]),
    ("update user_coupons set used_at = null", &[("coupon_use", 2)]),
    ("update user_coupons set order_id = null", &[("coupon_use", 4)]),
    (
        "update user_coupons set used_at = now(), order_id = gen_random_uuid() where order_id is null",
        &[("coupon_use", 1)],
    ),
    (
        "update user_coupons set used_at = now(), order_id = '019a0000-0012-7000-8000-000000000080'
          where order_id is null",
        &[("coupon_use", 1)],
    ),
    ("update orders set coupon_id = null where order_id::text like '%0011-%'", &[("coupon_use", 2)]),
    ("update orders set coupon_id = 'C2' where order_id::text like '%0012-%'", &[("coupon_use", 1)]),
    // outbox
    ("delete from order_syncs", &[("outbox", 3)]),
    ("insert into order_syncs (order_id) values (gen_random_uuid())", &[("outbox", 1)]),
    // references
    ("delete from products where product_id = 'P1'", &[("references", 2)]),
    ("delete from coupons where coupon_id = 'C1'", &[("references", 2)]),
    (
        "insert into order_lines (order_id, line, product_id, quantity, unit_price)
         values (gen_random_uuid(), 1, 'P3', 1, 900)",
        &[("stock_counter", 1), ("references", 1)],
    ),
    (
        "update order_lines set product_id = 'P8' where order_id::text like '%0012-%'",
        &[("stock_counter", 1), ("references", 1)],
    ),
    (
        "delete from orders where order_id::text like '%0012-%'",
        &[("one_outcome", 1), ("order_paid", 1), ("outbox", 1), ("references", 1)],
    ),
    (
        "delete from orders where order_id::text like '%0013-%'",
        &[("one_outcome", 1), ("coupon_use", 1), ("outbox", 1), ("references", 1)],
    ),
];
