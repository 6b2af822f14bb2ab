-- The parking clock, and since when the oldest record of the spool waits to go to Kafka.
select watermark, moved_at, began_at, ended_at, after_id,
    (select s.created_at from spool s order by s.id limit 1) as spooled_since
from parking_clock
for update
