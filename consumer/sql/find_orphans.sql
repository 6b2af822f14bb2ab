-- The records of those of these dead letters that are open, and whose bytes are there. $1 their ids.
select id, topic, partition, "offset", timestamp_ms, key, value, header_names, header_values
from dead_letters
where id = any($1::bigint[]) and status = 'open' and redacted_at is null
order by id
