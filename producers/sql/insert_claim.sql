-- $15 seconds for which the answer is kept.
insert into intent_claims (
    client, idempotency_key, fingerprint, command, payment_id, event_id, record_key, provider, account, reference,
    provider_ref, currency, amount, seen, answer, expires_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $16, now() + make_interval(secs => $15))
