-- Make every name that a batch speaks of a row, lock all of them in the order given, which is the same for all, or two
-- batches deadlock; then lock the payments that have them, in id order. What the names are bound to holds until the
-- transaction ends.
-- The first row says the transaction's id, how many names are locked, and the places of those that a payment has, and
-- which; each other row is a payment. What another transaction made while this waited for it is not seen: where names
-- or payments are missing, the statement is said again and sees them.
with n as materialized (
    select * from unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[])
        with ordinality as n (provider, account, kind, ref, place)
),
made as (
    insert into payment_refs (provider, account, kind, ref)
    select provider, account, kind, ref from n order by place
    on conflict do nothing
    returning 1
),
locked as materialized (
    select n.place, r.payment_id
    from n
    join payment_refs r using (provider, account, kind, ref)
    where (select count(*) from made) >= 0
    order by n.place
    for no key update of r
),
held as materialized (
    select id, provider, account, provider_ref, client, reference, phone, merged_into, currency, version, facts,
        head_hash, head_xid
    from payments
    where id = any(array(select payment_id from locked))
    order by id
    for no key update
)
select pg_current_xact_id()::text::bigint as xid, (select count(*) from made) + count(*) as names,
    array_agg(place::integer) filter (where payment_id is not null) as places,
    array_agg(payment_id) filter (where payment_id is not null) as payment_ids,
    null as id, null as provider, null as account, null as provider_ref, null as client, null as reference,
    null as phone, null as merged_into, null as currency, null as version, null as facts, null as head_hash,
    null as head_xid
from locked
union all
select null, null, null, null, held.* from held
