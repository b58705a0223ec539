-- Wallet entries whose time passed before they were used, marked by a schedule.

-- When it was marked. What a shopper is shown, and what a decision goes by, is worked out from `expires_at`: this is for
-- whoever reads or counts the table. An order that was asked for in time and decided late may still use a marked entry.
alter table user_coupons add column expired_at timestamptz;

-- What is left to mark, soonest first. Entries that never expire, were used or are marked have no place in it, so it stays
-- small; entries of one campaign come in the order of their expiry, so a new one is appended.
create index user_coupons_to_expire on user_coupons (expires_at)
 where expires_at is not null and used_at is null and expired_at is null;
