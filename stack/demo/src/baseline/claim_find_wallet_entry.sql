select exists (select from user_coupons where user_id = $1 and coupon_id = $2)
