-- The shop's tables. Three kinds, told apart by who may write them:
--
--   lane rows     products, users, coupons: one row is one lane. Only a worker that holds the lane writes them,
--                 and an operator's relative update (`stock = stock + delta`), which takes the row lock for a moment.
--   facts         orders, wallet entries, ledger, outcomes: written once, in the transaction that decided them.
--   what leaves   outbox rows, written in the same transaction and picked up later.
--
-- Facts carry no foreign key to lane rows: the check would lock the lane row (FOR KEY SHARE) in batches of other
-- groups, and would be planned once per session, perhaps on an empty table. The audit checks the references instead.

-- An identifier chosen by the operator: P001, user1. Lane rows check the form; facts copy it from them as text.
create domain shop_id as text collate "C"
  check (value ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$');

-- Won. The limit of one amount is 10^12; a sum may be larger.
create domain won as bigint check (value >= 0);

-- `last_ticket` is the fence: the highest ticket of the lane's group that has been decided on this row, refusals
-- included. A batch that finds a ticket of its own at or below it knows that somebody else decided.
create table products (
  product_id  shop_id primary key,
  name        text not null check (length(name) between 1 and 200),
  description text not null default '' check (length(description) <= 4000),
  price       won not null,
  stock       bigint not null check (stock >= 0),
  -- Pieces that were ever put on the shelf: the first stock and every restock. What is missing was sold.
  stocked     bigint not null check (stocked >= stock),
  last_ticket bigint not null default 0,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now()
) with (fillfactor = 70);

create table users (
  user_id     shop_id primary key,
  name        text not null default '' check (length(name) <= 200),
  balance     won not null default 0,
  last_ticket bigint not null default 0,
  created_at  timestamptz not null default now()
) with (fillfactor = 70);

create table coupons (
  coupon_id           shop_id primary key,
  name                text not null check (length(name) between 1 and 200),
  discount_type       text not null check (discount_type in ('FIXED', 'PERCENT')),
  discount_value      bigint not null check (discount_value > 0),
  max_discount_amount won,
  min_order_amount    won not null default 0,
  total_quantity      bigint not null check (total_quantity >= 0),
  issued_quantity     bigint not null default 0,
  starts_at           timestamptz,
  ends_at             timestamptz,
  valid_days          integer check (valid_days between 1 and 36500),
  last_ticket         bigint not null default 0,
  created_at          timestamptz not null default now(),
  check (discount_type <> 'PERCENT' or discount_value <= 100),
  check (issued_quantity between 0 and total_quantity)
) with (fillfactor = 70);

-- A shopper's coupon. The key says "once per user" and serves the wallet of one user.
create table user_coupons (
  user_id        text collate "C" not null,
  coupon_id      text collate "C" not null,
  user_coupon_id uuid not null,
  issued_at      timestamptz not null,
  expires_at     timestamptz,
  used_at        timestamptz,
  order_id       uuid,
  primary key (user_id, coupon_id),
  check ((used_at is null) = (order_id is null))
);

create table cart_items (
  user_id    text collate "C" not null,
  product_id text collate "C" not null,
  quantity   bigint not null check (quantity between 1 and 100000),
  changed_at timestamptz not null default now(),
  primary key (user_id, product_id)
);

create table orders (
  order_id        uuid primary key,
  user_id         text collate "C" not null,
  total_amount    won not null,
  discount_amount won not null,
  final_amount    won not null,
  coupon_id       text collate "C",
  created_at      timestamptz not null,
  check (discount_amount <= total_amount),
  check (final_amount = total_amount - discount_amount)
);
create index orders_of_user on orders (user_id, order_id desc);

-- Prices as they were when the order was decided.
create table order_lines (
  order_id   uuid not null,
  line       smallint not null,
  product_id text collate "C" not null,
  quantity   bigint not null check (quantity > 0),
  unit_price won not null,
  primary key (order_id, line)
);

-- Every change of a balance. A balance is the sum of its rows; the newest row's `balance_after` equals it.
create table ledger (
  user_id       text collate "C" not null,
  entry         bigint generated always as identity,
  kind          text not null check (kind in ('OPENING', 'CHARGE', 'ORDER')),
  amount        bigint not null check (amount <> 0),
  balance_after won not null,
  reference_id  uuid not null,
  created_at    timestamptz not null,
  primary key (user_id, entry)
);

-- A batch: what was decided in one transaction. The newest row of a group carries its highest ticket, which is what a
-- Redis that lost its counter is seeded from.
create table batches (
  batch_id     bigint generated always as identity primary key,
  lane_group   text not null,
  first_ticket bigint not null,
  last_ticket  bigint not null,
  size         integer not null check (size > 0),
  worker       text not null,
  claimed_at   timestamptz not null,
  decided_at   timestamptz not null,
  check (first_ticket <= last_ticket)
);
create index batches_newest on batches (lane_group, last_ticket desc);

-- The outcome of every decided command: exactly one, for ever the same.
-- The primary key makes a second decision of one request impossible; `decision` is drawn after the lanes were locked,
-- so its order is the order in which decisions were made; `outcome` holds the result, or the refusal's code and members.
create sequence decisions as bigint cache 1;
create table requests (
  request_id      uuid primary key,
  lane_group      text not null,
  ticket          bigint not null,
  decision        bigint not null default nextval('decisions'),
  batch_id        bigint not null,
  kind            text not null check (kind in ('COUPON_ISSUE', 'ORDER_PLACEMENT', 'BALANCE_CHARGE')),
  user_id         text,  -- nobody, where the command could not be read
  lanes           text[] not null check (cardinality(lanes) > 0),
  status          text not null check (status in ('SUCCEEDED', 'FAILED')),
  outcome         jsonb not null,
  accepted_at     timestamptz not null,
  decided_at      timestamptz not null,
  idempotency_key bytea check (length(idempotency_key) = 32),
  body_hash       bytea check (length(body_hash) = 32),
  repeat_of       uuid,
  check ((idempotency_key is null) = (body_hash is null))
);
-- One effect per idempotency key (a SHA-256 over user, method, path and key). Few commands carry one.
create unique index requests_idempotency on requests (idempotency_key) where idempotency_key is not null;
create index requests_of_user on requests (user_id, request_id desc);

-- Commands that could not be decided and stand in `requests` as FAILED X003: what they were and why, for an admin.
create table parked_commands (
  request_id uuid primary key,
  lane_group text not null,
  envelope   bytea not null,
  reason     text not null,
  parked_at  timestamptz not null
);
create index parked_recently on parked_commands (lane_group, parked_at);

-- Orders that must be told to the order system.
create table order_syncs (
  order_id        uuid primary key,
  attempts        integer not null default 0,
  next_attempt_at timestamptz,
  last_error      text,
  synced_at       timestamptz
);
create index order_syncs_due on order_syncs (next_attempt_at) where synced_at is null;

-- Lanes (and, as '*', whole groups) that an operator holds. Redis is told again from here after it lost its data.
create table paused_lanes (
  lane_group text not null,
  lane       text not null,
  paused_at  timestamptz not null default now(),
  paused_by  text not null,
  primary key (lane_group, lane)
);

-- What an admin must hear of.
create table alerts (
  alert_id   uuid primary key,
  kind       text not null,
  text       text not null,
  details    jsonb not null default '{}',
  raised_at  timestamptz not null default now(),
  resolved_at timestamptz
);
create index alerts_open on alerts (raised_at desc) where resolved_at is null;

-- Who changed what. `last_ticket` of a changed lane row says between which decisions the change fell.
create table audit_log (
  entry      bigint generated always as identity primary key,
  at         timestamptz not null default now(),
  actor      text not null,
  action     text not null,
  subject    text not null,
  before     jsonb,
  after      jsonb,
  last_ticket bigint
);
