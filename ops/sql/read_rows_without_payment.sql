-- $1, $2 the relay place to go on after, $3 rows. Ledger rows of no payment, in relay order.
select
    id, payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version, facts, topic,
    partition, "offset", occurred_at, recorded_at, relay_xid, hash, traceparent, meaning
from payment_logs
where payment_id is null and (relay_xid, id) > ($1::bigint, $2::bigint)
order by relay_xid, id
limit $3
