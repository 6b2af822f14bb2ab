-- $1 relay_xid and $2 id of the cursor, $3 rows, $4 bytes of metadata: the row that passes the bound is the last one.
-- All rows come, for the cursor must pass them; `due` are those that somebody has to begin.
select *
from (
    select
        relay_xid, id, payment_id, command_id, attempt_id, client, command, provider, account, merchant_account, livemode,
        provider_ref, reference, currency, amount, reason, metadata::text as metadata, traceparent, asked_at, expires_at,
        state is null and expires_at > clock_timestamp() as due,
        sum(octet_length(metadata::text)) over (order by relay_xid, id rows between unbounded preceding and 1 preceding)
            as metadata_bytes_before
    from (
        select *
        from commands
        where (relay_xid, id) > ($1::bigint, $2::bigint)
            and relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        order by relay_xid, id
        limit $3
    ) as final
) as sized
where coalesce(metadata_bytes_before, 0) < $4
order by relay_xid, id
