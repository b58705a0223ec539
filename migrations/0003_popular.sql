-- What is counted for the popular products, and who ran which schedule.

-- Orders come in the order of their time, so a few bytes for every 32 pages find those of an hour, and inserting pays
-- next to nothing for it.
create index orders_by_time on orders using brin (created_at) with (pages_per_range = 32, autosummarize = on);

-- Orders that contain a product, by whole hours of UTC. An hour is written once, when no transaction can add to it any
-- more, and never changes.
create table product_hours (
  hour       timestamptz not null check (hour = date_trunc('hour', hour, 'UTC')),
  product_id text collate "C" not null,
  orders     bigint not null check (orders > 0),
  primary key (hour, product_id)
);

-- The one row says up to when hours are written. Hours before it without rows had no order.
create table sealed_hours (
  only_row boolean primary key default true check (only_row),
  until    timestamptz not null check (until = date_trunc('hour', until, 'UTC'))
);

-- A row for each tick of a schedule that somebody took: with several workers each tick runs once.
create table cron_runs (
  job      text not null,
  tick     timestamptz not null,
  worker   text not null,
  began_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  error    text,
  primary key (job, tick)
);
create index cron_runs_that_succeeded on cron_runs (job, ended_at desc) where ended_at is not null and error is null;
