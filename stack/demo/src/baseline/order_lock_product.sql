select price, stock from products where product_id = $1 for update
