-- What a coupon demands of a claim before it stands in line. Nearly all demand nothing.
alter table coupons
  add column max_per_address bigint check (max_per_address >= 1),
  add column human_check     boolean not null default false;
-- `api` reads those that demand something every second.
create index coupons_with_terms on coupons (coupon_id) where max_per_address is not null or human_check;
