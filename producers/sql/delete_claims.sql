-- $1 rows at most. A claim whose payment is not in the ledger yet stays: it is all that is known of it.
delete from intent_claims
where (client, idempotency_key) in (
    select client, idempotency_key
    from intent_claims as claim
    where
        expires_at < now()
        and (command <> 'create' or exists (select from payments where payments.id = claim.payment_id))
    order by expires_at
    limit $1
    for update skip locked
)
