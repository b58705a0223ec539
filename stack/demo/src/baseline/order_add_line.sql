insert into order_lines (order_id, line, product_id, quantity, unit_price) values ($1, $2, $3, $4, $5)
