-- Mark those of the references that were bound now on which parked events or dead letters of orphans wait;
-- return the marks' ids. $1-$6 references.
insert into wake_marks as m (provider, account, merchant_account, livemode, kind, ref)
select n.provider, n.account, n.merchant_account, n.livemode, n.kind, n.ref
from unnest(
    $1::text::text[], $2::text::text[], $3::text::text[], $4::text::boolean[], $5::text::text[], $6::text::text[])
    as n (provider, account, merchant_account, livemode, kind, ref)
where exists (
    select from parked_refs w
    where w.ref = n.ref and w.kind = n.kind and w.provider = n.provider and w.account = n.account
        and w.merchant_account = n.merchant_account and w.livemode = n.livemode
    union all
    select from orphan_refs w
    where w.ref = n.ref and w.kind = n.kind and w.provider = n.provider and w.account = n.account
        and w.merchant_account = n.merchant_account and w.livemode = n.livemode)
on conflict (ref, kind, provider, account, merchant_account, livemode) do update
set id = default, after_id = 0, after_letter_id = 0, marked_at = now()
returning id
