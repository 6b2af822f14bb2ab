-- $1, $2 the relay place to go on after, $3 rows. Ledger rows that are published, in the relay's order.
select
    l.id, l.payment_id, l.source, l.event_id, l.event_type, l.outcome, l.from_status, l.to_status, l.amount, l.version,
    l.facts, l.topic, l.partition, l."offset", l.occurred_at, l.recorded_at, l.relay_xid, l.hash, l.traceparent, l.meaning
from payment_logs l
where
    (l.relay_xid, l.id) > ($1::bigint, $2::bigint)
    and (l.relay_xid, l.id) <= (
        select relay_xid, id from relay_cursors where name in ('changes', 'state') order by relay_xid, id limit 1
    )
order by l.relay_xid, l.id
limit $3
