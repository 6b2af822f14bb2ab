-- $1 topics and $2 partitions, pairwise. How far this database has them.
select o.topic, o.partition, o.next_offset
from consumer_offsets o
inner join unnest($1::text[], $2::integer[]) as n (topic, partition) using (topic, partition)
