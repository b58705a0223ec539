-- Who wants to hear that a product is back, and mails on their way.

-- One for each product and address; gone when its mail is written, so that the same shopper can ask again.
create table restock_registrations (
  product_id    text collate "C" not null,
  email         text not null check (length(email) between 3 and 254),
  user_id       text collate "C" not null,
  entry         bigint generated always as identity,
  registered_at timestamptz not null default now(),
  primary key (product_id, email)
);
create index restock_registrations_in_order on restock_registrations (product_id, entry);

-- A product that was gone is back. Written in the transaction that puts it on the shelf, however many wait for it; the
-- mails are written from here in steps. Who registers later waits for the next time.
create table restocks (
  restock_id   bigint generated always as identity primary key,
  product_id   text collate "C" not null,
  up_to_entry  bigint not null,
  restocked_at timestamptz not null default now()
);

-- Mails, sent in their order. The id is in the Message-ID, the same at every attempt, so that a receiver can tell a
-- repeat.
create table mails (
  mail_id         uuid primary key,
  entry           bigint generated always as identity,
  recipient       text not null,
  subject         text not null,
  body            text not null,
  attempts        integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  claimed_until   timestamptz,
  last_error      text,
  sent_at         timestamptz,
  -- The mail server will never take it.
  refused_at      timestamptz
);
create index mails_waiting on mails (entry) where sent_at is null and refused_at is null;
