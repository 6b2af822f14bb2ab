-- $1 rows, $2 bytes: the row that passes the bound is the last one. Rows with the ids $3 are left out. What is committed
-- is read, whoever else has a transaction open: rows are deleted by their ids, so one that commits late is read later.
select id, topic, key, value, header_names, header_values
from (
    select *, sum(bytes) over (order by id rows unbounded preceding) - bytes as bytes_before
    from (
        select
            *,
            coalesce(octet_length(key), 0) + octet_length(value)
                + pg_column_size(header_names) + pg_column_size(header_values) as bytes
        from spool
        where id <> all ($3::bigint[])
        order by id
        limit $1
    ) as final
) as sized
where bytes_before < $2
order by id
