-- $1 rows at most. One whose payment is not in the ledger yet stays: it is all that is known of it.
delete from intent_claims
where (client, idempotency_key) in (
    select client, idempotency_key
    from intent_claims as request
    where
        expires_at < now()
        and (command <> 'create' or exists (select from payments where payments.id = request.payment_id))
    order by expires_at
    limit $1
    for update skip locked
)
