-- What the role that runs the programs may do with each table; `:role` stands for its name. Everything is taken back first,
-- in the same transaction, so that this text is the whole truth whatever was granted before.
revoke all on all tables in schema public from :role;
revoke all on all sequences in schema public from :role;

grant select on all tables in schema public to :role;

-- Facts are written once and never change. Those of requests and their batches are forgotten when their time is over.
grant insert on orders, order_lines, ledger, audit_log, parked_commands, sync_attempts to :role;
grant insert, delete on requests, batches to :role;
grant usage on sequence decisions to :role;

-- Lane rows, what belongs to shoppers, and what leaves, live on and stay.
grant insert, update on products, users, coupons, user_coupons, charges to :role;
grant insert, update on order_syncs, mails, alerts, alert_deliveries, sealed_hours to :role;

-- What ends by being deleted.
grant insert, update, delete on cart_items, cron_runs to :role;
grant insert, delete on paused_lanes, restock_registrations, restocks, product_hours to :role;
