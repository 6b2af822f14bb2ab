-- Make every name that a batch speaks of a row that can be locked; in the order given, or two batches deadlock.
insert into payment_refs (provider, account, kind, ref)
select n.provider, n.account, n.kind, n.ref
from unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[])
    with ordinality as n (provider, account, kind, ref, place)
order by n.place
on conflict do nothing
