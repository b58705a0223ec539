insert into order_syncs (order_id, next_attempt_at) values ($1, now())
