insert into payment_refs (provider, account, kind, ref, payment_id)
select n.provider, n.account, n.kind, n.ref, n.payment_id
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[]) as n (provider, account, kind, ref, payment_id)
on conflict (provider, account, kind, ref) do update set payment_id = excluded.payment_id
where payment_refs.payment_id is null
