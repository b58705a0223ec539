-- Indexes of what is still to be done, which stays small however much was done before.

-- An order whose retries are used up, or that an operator has settled, is not due any more.
drop index order_syncs_due;
create index order_syncs_due on order_syncs (next_attempt_at) where synced_at is null and next_attempt_at is not null;
-- The desk.
create index order_syncs_open on order_syncs (order_id desc) where failed_at is not null and resolved_at is null;
-- New alerts, whether they are resolved or not.
create index alerts_by_time on alerts (raised_at);
