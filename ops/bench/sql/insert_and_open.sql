-- The naive contender, in one round trip: the ledger's row and, unless it was there, a new payment with its references.
with inserted as (
    insert into payment_logs (
        payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version, facts, topic,
        partition, "offset", occurred_at, recorded_at, relay_xid, hash)
    values (
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
        greatest($16, pg_current_xact_id()::text::bigint), $17)
    on conflict (source, event_id) do nothing
    returning id
), opened as (
    insert into payments (
        id, provider, account, provider_ref, client, reference, phone, merged_into, status, refund_status,
        dispute_status, currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid,
        merchant_account, livemode, intent_id, flags, created_at, updated_at)
    select $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37,
        greatest($38, pg_current_xact_id()::text::bigint), $39, $40, $41, string_to_array($42, ','), $15, $15
    from inserted
), bound as (
    insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
    select n.provider, n.account, n.merchant_account, n.livemode, n.kind, n.ref, $18
    from inserted,
        unnest($43::text[], $44::text[], $45::text[], $46::boolean[], $47::text[], $48::text[])
        as n (provider, account, merchant_account, livemode, kind, ref)
    on conflict (provider, account, merchant_account, livemode, kind, ref) do update set payment_id = excluded.payment_id
    where payment_refs.payment_id is null
), members as (
    insert into reference_payments (provider, account, livemode, kind, ref, payment_id)
    select n.provider, n.account, n.livemode, n.kind, n.ref, $18
    from inserted, unnest($49::text[], $50::text[], $51::boolean[], $52::text[], $53::text[])
        as n (provider, account, livemode, kind, ref)
    on conflict do nothing
)
select id from inserted
