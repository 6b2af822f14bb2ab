update payment_refs r
set payment_id = n.payment_id
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[]) as n (provider, account, kind, ref, payment_id)
where r.provider = n.provider and r.account = n.account and r.kind = n.kind and r.ref = n.ref
