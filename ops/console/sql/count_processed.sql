-- $1, $2 the place in the ledger to go on after, $3 rows. What was processed since, by outcome, and the place reached.
with fresh as (
    select relay_xid, id, outcome
    from payment_logs
    where (relay_xid, id) > ($1::bigint, $2::bigint)
        and relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    order by relay_xid, id
    limit $3
),
reached as (
    select relay_xid, id
    from fresh
    order by relay_xid desc, id desc
    limit 1
)
select fresh.outcome, count(*) as events, reached.relay_xid, reached.id
from fresh
cross join reached
group by fresh.outcome, reached.relay_xid, reached.id
