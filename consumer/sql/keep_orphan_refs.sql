-- Let the open dead letter of an event ($1 source, $2 event id, $3 digest) wait on these references ($4-$9).
insert into orphan_refs (provider, account, merchant_account, livemode, kind, ref, letter_id)
select n.provider, n.account, n.merchant_account, n.livemode, n.kind, n.ref, d.id
from dead_letters d,
    unnest(
        $4::text::text[], $5::text::text[], $6::text::text[], $7::text::boolean[], $8::text::text[], $9::text::text[])
        as n (provider, account, merchant_account, livemode, kind, ref)
where d.source = $1 and d.event_id = $2 and d.digest = $3 and d.status = 'open'
on conflict do nothing
