-- Which of these letters are known. $1 topics, $2 partitions, $3 offsets, $4 digests
select d.topic, d.partition, d."offset", d.digest
from unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[]) as n (topic, partition, "offset", digest)
inner join dead_letters d using (topic, partition, "offset", digest)
