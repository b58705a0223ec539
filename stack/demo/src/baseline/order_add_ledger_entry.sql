insert into ledger (user_id, kind, amount, balance_after, reference_id, created_at)
values ($1, 'ORDER', $2, $3, $4, now())
