-- $1 partitions, $2 offsets, pairwise
insert into dlq_positions (partition, next_offset)
select n.partition, n.next_offset
from unnest($1::integer[], $2::bigint[]) as n (partition, next_offset)
order by n.partition
on conflict (partition) do update set next_offset = excluded.next_offset, updated_at = clock_timestamp()
