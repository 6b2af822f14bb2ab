-- Letters that were marked and may not have reached Kafka. $1 redrive, $2 rows, $3 bytes: the row that passes the bound
-- is the last one.
select id, topic, partition, key, value, header_names, header_values, redrive_count, status
from (
    select *, sum(bytes) over (order by id rows unbounded preceding) - bytes as bytes_before
    from (
        select
            d.*,
            coalesce(octet_length(d.key), 0) + coalesce(octet_length(d.value), 0)
                + pg_column_size(d.header_names) + pg_column_size(d.header_values) as bytes
        from redrive_messages m
        inner join dead_letters d on d.id = m.dead_letter_id
        where m.redrive_id = $1 and m.status = 'publishing'
        order by m.dead_letter_id
        limit $2
    ) as taken
) as sized
where bytes_before < $3
order by id
