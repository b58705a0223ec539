-- Telling the order system of orders, and admins of what went wrong.

alter table order_syncs
  -- Whoever sends it now has it until then; a sender that dies leaves it to somebody else.
  add column claimed_until timestamptz,
  -- The last retry failed: an operator must look. Stays when a later attempt succeeds.
  add column failed_at     timestamptz,
  -- A later success, or an operator, has ended the failure.
  add column resolved_at   timestamptz,
  add column resolved_by   text,
  add column note          text;

-- What the desk shows, newest first.
create index order_syncs_failed on order_syncs (failed_at desc, order_id) where failed_at is not null;

-- Every attempt, with what the order system said.
create table sync_attempts (
  order_id    uuid not null,
  attempt     integer not null check (attempt > 0),
  at          timestamptz not null,
  duration_ms integer not null check (duration_ms >= 0),
  status      smallint,
  -- Why it was no success; none: it was one.
  error       text,
  -- The first kilobyte of the answer.
  answer      text,
  primary key (order_id, attempt)
);

-- How far an alert has come on each way on which admins are told. Made by whoever tells them, so only for the ways that
-- are configured.
create table alert_deliveries (
  alert_id        uuid not null,
  channel         text not null check (channel in ('webhook', 'mail')),
  attempts        integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  claimed_until   timestamptz,
  last_error      text,
  delivered_at    timestamptz,
  primary key (alert_id, channel)
);
create index alert_deliveries_due on alert_deliveries (next_attempt_at) where delivered_at is null;
