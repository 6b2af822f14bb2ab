-- Who stands under the references that somebody promised, of the payments held ($1) and of those that the batch promises
-- ($2-$5), $6 payments of each beside its promises.
-- `offset 0` keeps a look-up one of an index, as in lock_refs.sql.
with grouped as materialized (
    select g.provider, g.account, g.livemode, g.ref
    from (
        select distinct g.provider, g.account, g.livemode, g.ref
        from unnest($1::text::uuid[]) as h (payment_id)
        join lateral (
            select provider, account, livemode, ref from reference_payments r
            where r.payment_id = h.payment_id and r.kind = 'reference'
            offset 0
        ) g on true
    ) g
    join payment_refs r
        on r.ref = g.ref and r.kind = 'reference' and r.provider = g.provider and r.account = g.account
        and r.merchant_account = '' and r.livemode = g.livemode
    where r.payment_id is not null
    union
    select * from unnest($2::text::text[], $3::text::text[], $4::text::boolean[], $5::text::text[])
)
select json_agg(json_build_array(g.provider, g.account, g.livemode, g.ref, m.payment_id, m.promise, m.groups))
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
    where promise is not null or place <= $6
) m on true
