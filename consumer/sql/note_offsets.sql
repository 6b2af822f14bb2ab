-- $1 topics, $2 partitions and $3 next offsets, one row a partition, sorted. The last word counts: after a topic was made
-- anew it is lower.
insert into consumer_offsets as o (topic, partition, next_offset)
select * from unnest($1::text[], $2::integer[], $3::bigint[])
on conflict (topic, partition) do update
set next_offset = excluded.next_offset, updated_at = clock_timestamp()
