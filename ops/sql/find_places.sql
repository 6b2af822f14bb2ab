-- Which of these letters are known, or were and must not come back. $1 topics, $2 partitions, $3 offsets, $4 digests
with asked as materialized (
    select * from unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[]) as n (topic, partition, "offset", digest)
)
select topic, partition, "offset", digest from asked inner join dead_letters using (topic, partition, "offset", digest)
union
select topic, partition, "offset", digest from asked inner join erased_letters using (topic, partition, "offset", digest)
