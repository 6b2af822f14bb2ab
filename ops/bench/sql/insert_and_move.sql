-- The naive contender, in one round trip: the ledger's row and, unless it was there, how its payment stands now.
with inserted as (
    insert into payment_logs (
        payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version, facts, topic,
        partition, "offset", occurred_at, recorded_at, relay_xid, hash)
    values (
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
        greatest($16, pg_current_xact_id()::text::bigint), $17)
    on conflict (source, event_id) do nothing
    returning id
), moved as (
    update payments p
    set provider_ref = $21, client = $22, reference = $23, phone = $24, merged_into = $25, status = $26,
        refund_status = $27, dispute_status = $28, currency = $29, amount = $30, authorized = $31, captured = $32,
        refunded = $33, disputed = $34, version = $35, facts = $36, head_hash = $37,
        head_xid = greatest($38, pg_current_xact_id()::text::bigint), merchant_account = $39, livemode = $40,
        intent_id = $41, flags = string_to_array($42, ','), updated_at = greatest(p.updated_at, $15)
    from inserted
    where p.id = $18 and p.provider = $19 and p.account = $20
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
