update products set stock = stock - $2, updated_at = now() where product_id = $1
