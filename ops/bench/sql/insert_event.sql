-- The naive contender: an event that moves no payment.
insert into payment_logs (
    payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version, facts, topic, partition,
    "offset", occurred_at, recorded_at, relay_xid, hash)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, greatest($16, pg_current_xact_id()::text::bigint),
    $17)
on conflict (source, event_id) do nothing
returning id
