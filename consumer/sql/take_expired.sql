-- Take parked events out, unless somebody woke them while we waited for their names.
delete from parked_events
where id = any($1::bigint[]) and deadline < $2
returning topic, partition, "offset", timestamp_ms, key, value, header_names, header_values, reason, detail
