-- What payments.dlq holds no more needs no note any more. $1 before, $2 rows
delete from erased_letters
where (topic, partition, "offset", digest) in (
    select topic, partition, "offset", digest from erased_letters where erased_at < $1 order by erased_at limit $2
)
