-- $1 payments, $2-$5 references that somebody promised: those, and all that leads on from them: what a payment turned out to
-- be, the intent whose attempt it is, the promised references under which it stands, and who stands under a reference, $6 of
-- each beside its promises.
-- `offset 0` keeps a look-up one of an index, as in lock_refs.sql.
with recursive followed as (
    select id as payment_id, null::text as provider, null::text as account, null::boolean as livemode, null::text as ref
    from unnest($1::text::uuid[]) as asked (id)
    union all
    select null, * from unnest($2::text::text[], $3::text::text[], $4::text::boolean[], $5::text::text[])
    union
    select onward.*
    from followed
    cross join lateral (
        select next.id, null::text, null::text, null::boolean, null::text
        from payments
        cross join lateral (values (payments.merged_into), (payments.intent_id)) as next (id)
        where payments.id = followed.payment_id and next.id is not null
        union all
        select null, own.provider, own.account, own.livemode, own.ref
        from (
            select provider, account, livemode, ref from reference_payments r
            where r.payment_id = followed.payment_id and r.kind = 'reference'
            offset 0
        ) as own
        inner join payment_refs r
            on r.ref = own.ref and r.kind = 'reference' and r.provider = own.provider and r.account = own.account
            and r.merchant_account = '' and r.livemode = own.livemode
        where r.payment_id is not null
        union all
        select payment_id, null, null, null, null
        from (
            select payment_id, promise, row_number() over (partition by promise is null order by payment_id) as place
            from reference_payments m
            where m.ref = followed.ref and m.kind = 'reference' and m.provider = followed.provider
                and m.account = followed.account and m.livemode = followed.livemode
        ) as member
        where promise is not null or place <= $6
    ) as onward (payment_id, provider, account, livemode, ref)
)
select
    array_agg(payment_id) filter (where payment_id is not null) as payments,
    json_agg(json_build_array(provider, account, livemode, ref)) filter (where ref is not null) as refs
from followed
