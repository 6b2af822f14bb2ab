-- $1-$4 references that somebody promised: those, and all that lead on from the payments under them, $5 of each beside its
-- promises.
-- `offset 0` keeps a look-up one of an index, as in lock_refs.sql.
with recursive followed as (
    select * from unnest($1::text::text[], $2::text::text[], $3::text::boolean[], $4::text::text[])
        as asked (provider, account, livemode, ref)
    union
    select other.provider, other.account, other.livemode, other.ref
    from followed
    cross join lateral (
        select payment_id
        from (
            select payment_id, promise, row_number() over (partition by promise is null order by payment_id) as place
            from reference_payments m
            where m.ref = followed.ref and m.kind = 'reference' and m.provider = followed.provider
                and m.account = followed.account and m.livemode = followed.livemode
        ) m
        where promise is not null or place <= $5
    ) as member
    cross join lateral (
        select provider, account, livemode, ref from reference_payments r
        where r.payment_id = member.payment_id and r.kind = 'reference'
        offset 0
    ) as other
    inner join payment_refs r
        on r.ref = other.ref and r.kind = 'reference' and r.provider = other.provider and r.account = other.account
        and r.merchant_account = '' and r.livemode = other.livemode
    where r.payment_id is not null
)
select json_agg(json_build_array(provider, account, livemode, ref)) from followed
