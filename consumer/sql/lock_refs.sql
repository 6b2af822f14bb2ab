-- Make every name that a batch speaks of a row, lock in one sorted set all names and then all payments that it needs, or
-- two batches deadlock. What the names are bound to holds until the transaction ends. $1-$6 names, sorted; $7 whether the
-- batch promises the reference; $8 further payments; $9 how many payments a group has beside its promises.
-- What it needs is looked up without locks: the payments that have the names, and of each reference that somebody promised
-- the payments that stand under it, the first ones by their ids.
-- `offset 0` keeps a look-up one of an index, as in find_claims.sql.
-- The first row says the transaction's id, how many names are locked, the places of those that a payment has, and which;
-- `others` are locked names beside those asked for. Each other row is a payment. What another transaction made while this
-- one waited for it is not seen: where something is missing, the transaction begins anew.
with n as materialized (
    select * from unnest(
        $1::text::text[], $2::text::text[], $3::text::text[], $4::text::boolean[], $5::text::text[], $6::text::text[],
        $7::text::boolean[])
        with ordinality as n (provider, account, merchant_account, livemode, kind, ref, promised, place)
),
bound as materialized (
    select r.payment_id
    from n
    join payment_refs r using (provider, account, merchant_account, livemode, kind, ref)
    where r.payment_id is not null and (select exists (select from reference_payments))
    union all
    select * from unnest($8::text::uuid[])
),
grouped as materialized (
    select g.provider, g.account, g.livemode, g.ref
    from (
        select provider, account, livemode, ref from n where kind = 'reference' and not promised
        union
        select g.provider, g.account, g.livemode, g.ref
        from bound
        join lateral (
            select provider, account, livemode, ref from reference_payments r
            where r.payment_id = bound.payment_id and r.kind = 'reference'
            offset 0
        ) g on true
    ) g
    join payment_refs r
        on r.provider = g.provider and r.account = g.account and r.merchant_account = '' and r.livemode = g.livemode
        and r.kind = 'reference' and r.ref = g.ref
    where r.payment_id is not null and (select exists (select from reference_payments where promise is not null))
    union all
    select provider, account, livemode, ref from n where promised
),
members as materialized (
    select m.payment_id
    from grouped g
    join lateral (
        select payment_id
        from (
            select payment_id, promise, row_number() over (partition by promise is null order by payment_id) as place
            from reference_payments m
            where m.provider = g.provider and m.account = g.account and m.livemode = g.livemode
                and m.kind = 'reference' and m.ref = g.ref
        ) m
        where promise is not null or place <= $9
    ) m on true
),
made as (
    insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)
    select provider, account, merchant_account, livemode, kind, ref from n order by place
    on conflict do nothing
    returning 1
),
locked as materialized (
    select r.*, w.place
    from (
        select provider, account, merchant_account, livemode, kind, ref, place from n
        union all
        select provider, account, '', livemode, 'reference', ref, null from grouped
    ) w
    join payment_refs r using (provider, account, merchant_account, livemode, kind, ref)
    where (select count(*) from made) >= 0
    order by w.provider collate "C", w.account collate "C", w.merchant_account collate "C", w.livemode,
        w.kind collate "C", w.ref collate "C"
    for no key update of r
),
held as materialized (
    select id, provider, account, provider_ref, client, reference, phone, merged_into, currency, version, facts,
        head_hash, head_xid, merchant_account, livemode, intent_id, flags
    from payments
    where id = any(array(
        select payment_id from locked
        union all
        select payment_id from members
        union all
        select * from unnest($8::text::uuid[])))
    order by id
    for no key update
)
select pg_current_xact_id()::text::bigint as xid,
    (select count(*) from made) + count(*) filter (where place is not null) as names,
    array_agg(place::integer) filter (where payment_id is not null and place is not null) as places,
    array_agg(payment_id) filter (where payment_id is not null and place is not null) as payment_ids,
    json_agg(json_build_array(provider, account, merchant_account, livemode, kind, ref, payment_id))
        filter (where place is null) as others,
    null as id, null as provider, null as account, null as provider_ref, null as client, null as reference,
    null as phone, null as merged_into, null as currency, null as version, null as facts, null as head_hash,
    null as head_xid, null as merchant_account, null as livemode, null as intent_id, null as flags
from locked
union all
select null, null, null, null, null, held.* from held
