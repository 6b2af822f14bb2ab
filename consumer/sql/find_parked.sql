-- Those of these parked events that are still there. $1 their ids. No locks: whoever takes one out holds all of its references.
select p.id, p.topic, p.partition, p."offset", p.timestamp_ms, p.key, p.value, p.header_names, p.header_values,
    p.event_id,
    coalesce(
        (select true from payment_logs l where l.source = p.source and l.event_id = p.event_id limit 1), false) as processed
from parked_events p
where p.id = any($1::bigint[])
order by p.id
