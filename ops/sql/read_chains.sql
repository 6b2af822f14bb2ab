-- $1 payment ids. Their ledger rows, each payment's in the order in which they were chained.
select
    id, payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version, facts, topic,
    partition, "offset", occurred_at, recorded_at, relay_xid, hash, traceparent, meaning
from payment_logs
where payment_id = any($1::uuid[])
order by payment_id, id
