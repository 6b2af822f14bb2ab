-- $17 metadata as JSON, $18 of a command what it is for, $19 seconds for which the answer is kept.
insert into intent_claims (
    client, idempotency_key, fingerprint, command, payment_id, event_id, record_key, provider, account,
    merchant_account, livemode, reference, provider_ref, currency, amount, seen, metadata, attempt_id,
    expires_at, answer
)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::text::jsonb, $18,
    now() + make_interval(secs => $19), $20
)
