insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
values ($1, $2, $3, 0, $3, now())
