-- Which events are in the ledger already, and what they reported by which version of the meaning; a row of nulls where any
-- event or dead letter waits for a name, and one where a provider's list was ever asked; and who stands under the
-- references that somebody promised, of the payments held ($3) and of those that the batch promises ($4-$7), $8
-- payments of each beside its promises. $1, $2 sources and event ids.
-- `offset 0` keeps the look-up one of an index: joined to a table that was small when the plan was made, each payment of
-- the batch was compared with all rows of it.
with under as materialized (
    select g.provider, g.account, g.livemode, g.ref
    from unnest($3::text::uuid[]) as h (payment_id)
    join lateral (
        select provider, account, livemode, ref from reference_payments r
        where r.payment_id = h.payment_id and r.kind = 'reference'
        offset 0
    ) g on true
    where (select exists (select from reference_payments where promise is not null))
),
grouped as materialized (
    select u.provider, u.account, u.livemode, u.ref
    from under u
    join payment_refs r
        on r.ref = u.ref and r.kind = 'reference' and r.provider = u.provider and r.account = u.account
        and r.merchant_account = '' and r.livemode = u.livemode
    where r.payment_id is not null
    union
    select * from unnest($4::text::text[], $5::text::text[], $6::text::boolean[], $7::text::text[])
)
select source, event_id, l.facts, null::uuid as payment_id, null as provider, null as account, null::boolean as livemode,
    null as ref, null::integer as promise, null::boolean as groups, l.meaning
from unnest($1::text::text[], $2::text::text[]) as n (source, event_id)
join payment_logs l using (source, event_id)
union all
select source, event_id, p.facts, null, null, null, null, null, null, null, p.meaning
from unnest($1::text::text[], $2::text::text[]) as n (source, event_id)
join parked_events p using (source, event_id)
where (select exists (select from parked_events))
union all
select null, null, null, null, null, null, null, null, null, null, null
where exists (select from parked_refs) or exists (select from orphan_refs)
union all
select null, null, null, null, 'recalls', null, null, null, null, null, null
where exists (select from recall_cursors)
union all
select null, null, null, m.payment_id, g.provider, g.account, g.livemode, g.ref, m.promise, m.groups, null
from grouped g
join lateral (
    select payment_id, promise, groups
    from (
        select
            payment_id, promise, groups, row_number() over (partition by promise is null order by payment_id) as place
        from reference_payments m
        where m.ref = g.ref and m.kind = 'reference' and m.provider = g.provider and m.account = g.account
            and m.livemode = g.livemode
    ) m
    where promise is not null or place <= $8
) m on true
