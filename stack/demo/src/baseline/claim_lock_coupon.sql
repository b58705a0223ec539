-- Everybody who claims this coupon waits here for the one before.
select total_quantity,
       issued_quantity,
       coalesce(starts_at <= now(), true) and coalesce(ends_at > now(), true)
  from coupons
 where coupon_id = $1
   for update
