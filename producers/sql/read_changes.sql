-- $1 relay_xid and $2 id of the cursor, $3 rows. Rows without a version come too: the cursor must pass them.
select
    relay_xid, id, payment_id, version, source, event_id, event_type, outcome, from_status, to_status, amount,
    (select currency from payments where payments.id = payment_id) as currency, occurred_at, recorded_at,
    traceparent
from payment_logs
where (relay_xid, id) > ($1::bigint, $2::bigint)
    and relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
order by relay_xid, id
limit $3
