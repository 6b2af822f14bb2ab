-- Make a dead letter; a redelivery of the same bytes under the same event id is the same letter while that is open.
insert into dead_letters (
    topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values, source, event_id,
    event_type, payment_ref, reason, message, redrive_count, relay_xid, created_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
where not exists (
    select from dead_letters d
    where d.source = $10 and d.event_id = $11 and d.digest = $4 and d.status = 'open')
on conflict (topic, partition, "offset", digest) do nothing
