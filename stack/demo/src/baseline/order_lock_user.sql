select balance from users where user_id = $1 for update
