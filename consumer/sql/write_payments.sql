-- Write payments, opened or moved, and bind references to them.
with n as materialized (
    select * from unnest(
        $1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
        $7::text::text[], $8::text::uuid[], $9::text::text[], $10::text::text[], $11::text::text[], $12::text::text[],
        $13::text::bigint[], $14::text::bigint[], $15::text::bigint[], $16::text::bigint[], $17::text::bigint[],
        $18::text::bigint[], $19::text::jsonb[], $20::text::bytea[], $21::text::bigint[],
        $22::text::text[], $23::text::boolean[], $24::text::uuid[], $25::text::text[], $26::text::boolean[]) as n (
        id, provider, account, provider_ref, client, reference, phone, merged_into, status, refund_status,
        dispute_status, currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash,
        head_xid, merchant_account, livemode, intent_id, flags, opened)
),
opened as (
    insert into payments (
        id, provider, account, provider_ref, client, reference, phone, merged_into, status, refund_status,
        dispute_status, currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash,
        head_xid, merchant_account, livemode, intent_id, flags, flagged_at, created_at, updated_at)
    select id, provider, account, provider_ref, client, reference, phone, merged_into, status, refund_status,
        dispute_status, currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash,
        head_xid, merchant_account, livemode, intent_id, string_to_array(flags, ','),
        case when flags <> '' then $27::timestamptz end, $27::timestamptz, $27::timestamptz
    from n
    where opened
),
bound as (
    update payment_refs r
    set payment_id = b.payment_id
    from unnest(
        $28::text::text[], $29::text::text[], $30::text::text[], $31::text::boolean[], $32::text::text[],
        $33::text::text[], $34::text::uuid[])
        as b (provider, account, merchant_account, livemode, kind, ref, payment_id)
    where r.provider = b.provider and r.account = b.account and r.merchant_account = b.merchant_account
        and r.livemode = b.livemode and r.kind = b.kind and r.ref = b.ref
)
update payments p
set provider_ref = n.provider_ref, client = n.client, reference = n.reference, phone = n.phone,
    merged_into = n.merged_into, status = n.status, refund_status = n.refund_status,
    dispute_status = n.dispute_status, currency = n.currency, amount = n.amount, authorized = n.authorized,
    captured = n.captured, refunded = n.refunded, disputed = n.disputed, version = n.version, facts = n.facts,
    head_hash = n.head_hash, head_xid = n.head_xid, merchant_account = n.merchant_account, intent_id = n.intent_id,
    flags = string_to_array(n.flags, ','),
    flagged_at = case when n.flags <> '' then coalesce(p.flagged_at, $27::timestamptz) end,
    updated_at = greatest(p.updated_at, $27::timestamptz)
from n
where not n.opened and p.id = n.id
