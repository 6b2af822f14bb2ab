-- A command that was checked under its payment's lock. $16 metadata as JSON; $18 why it is refused, null where it is not.
insert into commands (
    payment_id, command_id, client, command, attempt_id, provider, account, merchant_account, livemode, provider_ref,
    reference, currency, amount, seen, reason, metadata, traceparent, state, refusal, asked_at, expires_at, relay_xid
)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::text::jsonb, $17,
    case when $18::text is not null then 'refused' end, $18, $19, $20, $21
)
on conflict (payment_id, command_id) do nothing
