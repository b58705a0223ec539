insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at) values ($1, $2, $3, now())
