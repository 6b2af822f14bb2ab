-- Letters whose turn it is, locked: nobody else redrives or discards them meanwhile. $1 redrive, $2 rows, $3 bytes: the
-- row that passes the bound is the last one. A value of more than $4 bytes stays here.
select
    d.id, d.topic, d.partition, d.key, case when octet_length(d.value) <= $4 then d.value end as value,
    coalesce(octet_length(d.value) > $4, false) as value_left_out, d.header_names, d.header_values, d.redrive_count, d.status
from dead_letters d
inner join (
    select id, sum(bytes) over (order by id rows unbounded preceding) - bytes as bytes_before
    from (
        select
            l.id,
            coalesce(octet_length(l.key), 0) + coalesce(octet_length(l.value), 0)
                + pg_column_size(l.header_names) + pg_column_size(l.header_values) as bytes
        from redrive_messages m
        inner join dead_letters l on l.id = m.dead_letter_id
        where m.redrive_id = $1 and m.status = 'queued'
        order by m.dead_letter_id
        limit $2
    ) as waiting
) as sized using (id)
where sized.bytes_before < $3
order by d.id
for no key update of d
