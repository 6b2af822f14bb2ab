-- Make a dead letter of a record of payments.dlq; it is there already, so relay_xid $17 is below the relay's cursor.
insert into dead_letters (
    topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values, source, event_id,
    event_type, payment_ref, reason, message, redrive_count, relay_xid, created_at, delivery_count)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
on conflict (topic, partition, "offset", digest) do nothing
