-- $1 relay_xid and $2 id of the cursor, $3 rows, $4 bytes: the row that passes the bound is the last one. A value of
-- more than $5 bytes stays here.
select
    relay_xid, id, topic, partition, "offset", timestamp_ms, key, case when octet_length(value) <= $5 then value end as value,
    coalesce(octet_length(value) > $5, false) as value_left_out, digest, header_names, header_values, reason, message,
    delivery_count, redrive_count
from (
    select *, sum(bytes) over (order by relay_xid, id rows unbounded preceding) - bytes as bytes_before
    from (
        select
            *,
            coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0)
                + pg_column_size(header_names) + pg_column_size(header_values) as bytes
        from dead_letters
        where (relay_xid, id) > ($1::bigint, $2::bigint)
            and relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        order by relay_xid, id
        limit $3
    ) as final
) as sized
where bytes_before < $4
order by relay_xid, id
