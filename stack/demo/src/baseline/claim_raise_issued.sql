update coupons set issued_quantity = issued_quantity + 1 where coupon_id = $1
