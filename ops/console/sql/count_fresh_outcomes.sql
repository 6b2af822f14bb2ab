-- What became of events since: $1, $2 the place in the ledger, $3, $4 in the dead letters, $5 the last parked event's id,
-- $6 rows of each. A minute, provider, outcome and reason each, with the places reached (null: nothing new).
with ledger as (
    select relay_xid, id, recorded_at as at, source, outcome, '' as detail
    from payment_logs
    where (relay_xid, id) > ($1::bigint, $2::bigint)
        and relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    order by relay_xid, id
    limit $6
),
letters as (
    select relay_xid, id, created_at as at, source, 'dead_letter' as outcome, reason as detail
    from dead_letters
    where (relay_xid, id) > ($3::bigint, $4::bigint)
        and relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    order by relay_xid, id
    limit $6
),
parked as (
    select id, parked_at as at, source, 'parked' as outcome, reason as detail
    from parked_events
    where id > $5::bigint
        -- Ids are given before the commit: one of a transaction under way may be lower than what is seen.
        and age(xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
    order by id
    limit $6
),
ledger_end as (select relay_xid, id from ledger order by relay_xid desc, id desc limit 1),
letters_end as (select relay_xid, id from letters order by relay_xid desc, id desc limit 1)
select
    date_trunc('minute', fresh.at) as minute, split_part(coalesce(fresh.source, 'unknown'), '/', 1) as provider,
    fresh.outcome, fresh.detail, count(*) as events,
    (select relay_xid from ledger_end) as ledger_xid, (select id from ledger_end) as ledger_id,
    (select relay_xid from letters_end) as letters_xid, (select id from letters_end) as letters_id,
    (select max(id) from parked) as parked_id
from (
    select at, source, outcome, detail from ledger
    union all
    select at, source, outcome, detail from letters
    union all
    select at, source, outcome, detail from parked
) as fresh
group by minute, provider, fresh.outcome, fresh.detail
