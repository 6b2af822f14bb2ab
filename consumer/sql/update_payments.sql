update payments p
set provider_ref = n.provider_ref, client = n.client, reference = n.reference, phone = n.phone,
    merged_into = n.merged_into, status = n.status, refund_status = n.refund_status, dispute_status = n.dispute_status, currency = n.currency,
    amount = n.amount, authorized = n.authorized, captured = n.captured, refunded = n.refunded, disputed = n.disputed,
    version = n.version, facts = n.facts, head_hash = n.head_hash, head_xid = n.head_xid,
    updated_at = greatest(p.updated_at, $22::timestamptz)
from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[],
    $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],
    $18::bigint[], $19::jsonb[], $20::bytea[], $21::bigint[]) as n (
    id, provider, account, provider_ref, client, reference, phone, merged_into, status, refund_status, dispute_status,
    currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid)
where p.id = n.id
