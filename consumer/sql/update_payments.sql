update payments p
set provider_ref = n.provider_ref, client = n.client, reference = n.reference, phone = n.phone,
    merged_into = n.merged_into, status = n.status, refund_status = n.refund_status, dispute_status = n.dispute_status, currency = n.currency,
    amount = n.amount, authorized = n.authorized, captured = n.captured, refunded = n.refunded, disputed = n.disputed,
    version = n.version, facts = n.facts, head_hash = n.head_hash, head_xid = n.head_xid,
    updated_at = greatest(p.updated_at, $22::timestamptz)
from unnest(
    $1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
    $7::text::text[], $8::text::uuid[], $9::text::text[], $10::text::text[], $11::text::text[], $12::text::text[],
    $13::text::bigint[], $14::text::bigint[], $15::text::bigint[], $16::text::bigint[], $17::text::bigint[],
    $18::text::bigint[], $19::text::jsonb[], $20::text::bytea[], $21::text::bigint[]) as n (
    id, provider, account, provider_ref, client, reference, phone, merged_into, status, refund_status, dispute_status,
    currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid)
where p.id = n.id
