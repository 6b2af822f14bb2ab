update payment_refs r
set payment_id = n.payment_id
from unnest(
    $1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::uuid[]) as n (provider, account, kind, ref, payment_id)
where r.provider = n.provider and r.account = n.account and r.kind = n.kind and r.ref = n.ref
