-- Charges of balances: what a gateway is asked for, and what it said.

-- A row is written before the gateway is asked, so that nobody forgets that money may have been taken. It bears the id of
-- the request, which is also the gateway's idempotency key.
create table charges (
  charge_id       uuid primary key,
  user_id         text collate "C" not null,
  amount          won not null check (amount > 0),
  -- As it was asked for, also when the shop is configured otherwise later: a gateway knows a repeat by all its members.
  payment_method  text not null,
  ticket          bigint not null,
  -- Drawn when its turn in line came. Charges that take long to settle are overtaken by later ones of the same shopper, and
  -- the record keeps their order.
  decision        bigint not null default nextval('decisions'),
  batch_id        bigint not null,
  accepted_at     timestamptz not null,
  began_at        timestamptz not null,
  idempotency_key bytea check (length(idempotency_key) = 32),
  body_hash       bytea check (length(body_hash) = 32),
  -- The same wish once more, under a new id, because Redis had forgotten the first one. The gateway is not asked for it.
  repeat_of       uuid,
  status          text not null default 'PENDING' check (status in ('PENDING', 'SUCCEEDED', 'FAILED')),
  -- What the gateway calls it, where it said so.
  gateway_id      text,
  -- How often the gateway was asked without saying what came of it.
  attempts        integer not null default 0,
  last_error      text,
  next_attempt_at timestamptz,
  -- Somebody is asking the gateway until then.
  claimed_until   timestamptz,
  -- Since then the gateway is not asked any more, and an operator must find out.
  given_up_at     timestamptz,
  -- What an operator found out.
  verdict         text check (verdict in ('SUCCEEDED', 'FAILED')),
  verdict_by      text,
  verdict_at      timestamptz,
  note            text,
  settled_at      timestamptz,
  check ((status = 'PENDING') = (settled_at is null)),
  check (repeat_of is null or next_attempt_at is null),
  check ((idempotency_key is null) = (body_hash is null))
);
-- One charge per idempotency key, until retention forgets the key together with the request.
create unique index charges_idempotency on charges (idempotency_key) where idempotency_key is not null;
create index charges_due on charges (next_attempt_at) where status = 'PENDING' and next_attempt_at is not null;
create index charges_pending on charges (charge_id desc) where status = 'PENDING';
-- Whether a later charge of the same shopper has begun.
create index charges_of_user on charges (user_id, ticket desc);
create index charges_repeated on charges (repeat_of) where repeat_of is not null;

-- Money is credited once.
create unique index ledger_charges on ledger (reference_id) where kind = 'CHARGE';
