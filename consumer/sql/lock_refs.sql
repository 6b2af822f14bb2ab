-- Make every reference that a batch speaks of a row, lock in one sorted set all references and then all payments that it
-- needs, or two batches deadlock. What the references are bound to holds until the transaction ends. $1-$6 references,
-- sorted; $7 whether the batch promises the reference; $8 further payments; $9 how many payments a group has beside its
-- promises. What it needs is looked up without locks: the payments that have the references (`asked`), the references that
-- somebody promised under which they stand (`grouped`), and who else stands there, the first ones by their ids (`members`).
-- Those may stand under further references (`beyond`), for which the transaction begins anew.
-- `offset 0` keeps the look-up one of an index: joined to a table that was small when the plan was made, each payment of
-- the batch was compared with all rows of it.
-- The first row says the transaction's id, how many references are locked, the places of those that a payment has, and which;
-- `others` are locked references beside those asked for; in which snapshot the groups were looked up, null where nobody had
-- promised anything; and of which payments. Each other row is a payment. What another transaction made while this one waited
-- for it is not seen: find_reported.sql tells of groups that grew; where something is missing, the transaction begins anew.
with n as materialized (
    select * from unnest(
        $1::text::text[], $2::text::text[], $3::text::text[], $4::text::boolean[], $5::text::text[], $6::text::text[],
        $7::text::boolean[])
        with ordinality as n (provider, account, merchant_account, livemode, kind, ref, promised, place)
),
seen as materialized (
    select n.*, r.payment_id, r.known is not null as known
    from n
    left join lateral (
        select payment_id, true as known from payment_refs r
        where r.ref = n.ref and r.kind = n.kind and r.provider = n.provider and r.account = n.account
            and r.merchant_account = n.merchant_account and r.livemode = n.livemode
        offset 0
    ) r on true
),
bound as materialized (
    select provider, account, livemode, kind, ref, payment_id
    from seen
    where payment_id is not null and (select exists (select from reference_payments where promise is not null))
),
asked as materialized (
    select payment_id from bound
    union
    select * from unnest($8::text::uuid[])
),
grouped as materialized (
    select provider, account, livemode, ref from bound where kind = 'reference'
    union
    select provider, account, livemode, ref from n where promised
    union
    select g.provider, g.account, g.livemode, g.ref
    from (
        select g.provider, g.account, g.livemode, g.ref
        from asked
        join lateral (
            select provider, account, livemode, ref from reference_payments r
            where r.payment_id = asked.payment_id and r.kind = 'reference'
            offset 0
        ) g on true
        except
        select provider, account, livemode, ref from n where kind = 'reference'
    ) g
    join payment_refs r
        on r.ref = g.ref and r.kind = 'reference' and r.provider = g.provider and r.account = g.account
        and r.merchant_account = '' and r.livemode = g.livemode
    where r.payment_id is not null
),
members as materialized (
    select g.provider, g.account, g.livemode, g.ref, m.payment_id, m.promise, m.groups
    from grouped g
    join lateral (
        select payment_id, promise, groups
        from (
            select
                payment_id, promise, groups,
                row_number() over (partition by promise is null order by payment_id) as place
            from reference_payments m
            where m.ref = g.ref and m.kind = 'reference' and m.provider = g.provider and m.account = g.account
                and m.livemode = g.livemode
        ) m
        where promise is not null or place <= $9
    ) m on true
),
further as materialized (
    select payment_id from members
    except
    select payment_id from asked
),
beyond as materialized (
    select g.provider, g.account, g.livemode, g.ref
    from (
        select g.provider, g.account, g.livemode, g.ref
        from further
        join lateral (
            select provider, account, livemode, ref from reference_payments r
            where r.payment_id = further.payment_id and r.kind = 'reference'
            offset 0
        ) g on true
        except
        select provider, account, livemode, ref from grouped
    ) g
    join payment_refs r
        on r.ref = g.ref and r.kind = 'reference' and r.provider = g.provider and r.account = g.account
        and r.merchant_account = '' and r.livemode = g.livemode
    where r.payment_id is not null
),
made as (
    insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)
    select provider, account, merchant_account, livemode, kind, ref from seen where not known order by place
    on conflict do nothing
    returning 1
),
locked as materialized (
    select r.*, w.place
    from (
        select provider, account, merchant_account, livemode, kind, ref, place from n
        union all
        select provider, account, '', livemode, 'reference', ref, null
        from (select * from grouped except select provider, account, livemode, ref from n where kind = 'reference') g
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
    (select count(*) from made) + count(*) filter (where place is not null) as refs,
    array_agg(place::integer) filter (where payment_id is not null and place is not null) as places,
    array_agg(payment_id) filter (where payment_id is not null and place is not null) as payment_ids,
    json_agg(json_build_array(provider, account, merchant_account, livemode, kind, ref, payment_id))
        filter (where place is null) as others,
    case when (select exists (select from reference_payments where promise is not null))
        then pg_current_snapshot()::text end as snapshot,
    (select json_agg(json_build_array(provider, account, livemode, ref, payment_id, promise, groups)) from members)
        as members,
    (select array_agg(payment_id) from (select payment_id from asked union all select payment_id from further) e)
        as looked_up,
    (select json_agg(json_build_array(provider, account, livemode, ref)) from beyond) as beyond,
    null as id, null as provider, null as account, null as provider_ref, null as client, null as reference,
    null as phone, null as merged_into, null as currency, null as version, null as facts, null as head_hash,
    null as head_xid, null as merchant_account, null as livemode, null as intent_id, null as flags
from locked
union all
select null, null, null, null, null, null, null, null, null, held.* from held
