update users set balance = balance - $2 where user_id = $1
