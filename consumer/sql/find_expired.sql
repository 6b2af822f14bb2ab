-- Parked events past their deadline, and the references that must be locked before they may be buried. $2 events, $3 bytes:
-- the event that passes the bound is the last one.
select p.id, w.provider, w.account, w.merchant_account, w.livemode, w.kind, w.ref
from (
    select id, sum(bytes) over (order by deadline, id rows unbounded preceding) - bytes as bytes_before
    from (
        select
            id, deadline,
            coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0)
                + octet_length(array_send(header_names)) + octet_length(array_send(header_values)) as bytes
        from parked_events
        where deadline < $1
        order by deadline
        limit $2
    ) as expired
) p
left join parked_refs w on w.parked_id = p.id
where p.bytes_before < $3
