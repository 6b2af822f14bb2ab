-- $1 partitions, $2 offsets, pairwise; $3 the topic's id: where brokers tell none, the one that is known stays.
insert into dlq_positions as p (partition, next_offset, topic_id)
select n.partition, n.next_offset, $3::uuid
from unnest($1::integer[], $2::bigint[]) as n (partition, next_offset)
order by n.partition
on conflict (partition) do update set
    next_offset = excluded.next_offset,
    topic_id = coalesce(excluded.topic_id, p.topic_id),
    updated_at = clock_timestamp()
