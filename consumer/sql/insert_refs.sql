-- Make every name that a batch speaks of a row that can be locked; in key order, or two batches deadlock.
insert into payment_refs (provider, account, kind, ref)
select n.provider, n.account, n.kind, n.ref
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n (provider, account, kind, ref)
order by n.provider, n.account, n.kind, n.ref
on conflict do nothing
