-- $1 ids
select id, topic, timestamp_ms, key, value, header_names, header_values, reason
from dead_letters
where id = any($1::bigint[])
order by id
