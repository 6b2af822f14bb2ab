-- $1 rows, $2 bytes: the row that passes the bound is the last one.
select id, topic, key, value, header_names, header_values
from (
    select *, sum(bytes) over (order by id rows unbounded preceding) - bytes as bytes_before
    from (
        select
            *,
            coalesce(octet_length(key), 0) + octet_length(value)
                + pg_column_size(header_names) + pg_column_size(header_values) as bytes
        from spool
        where relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        order by id
        limit $1
    ) as settled
) as sized
where bytes_before < $2
order by id
