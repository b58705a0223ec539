delete from cart_items where user_id = $1 and product_id = any ($2)
