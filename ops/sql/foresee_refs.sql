-- What consumer/sql/lock_refs.sql reads, without its locks.
select r.provider, r.account, r.kind, r.ref, r.payment_id
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n (provider, account, kind, ref)
join payment_refs r using (provider, account, kind, ref)
