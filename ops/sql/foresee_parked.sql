-- Which parked events wait on these references, or on any of these payments. $1-$6 references, $7 payments, $8 rows, $9 bytes:
-- the event that passes the bound is the last one.
select p.id, p.topic, p.partition, p."offset", p.timestamp_ms, p.key, p.value, p.header_names, p.header_values,
    p.event_id,
    coalesce(
        (select true from payment_logs l where l.source = p.source and l.event_id = p.event_id limit 1), false) as processed
from (
    select id, sum(bytes) over (order by id rows unbounded preceding) - bytes as bytes_before
    from (
        select
            id,
            coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0)
                + octet_length(array_send(header_names)) + octet_length(array_send(header_values)) as bytes
        from parked_events
        where id in (
            select w.parked_id
            from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[])
                as n (provider, account, merchant_account, livemode, kind, ref)
            join parked_refs w using (provider, account, merchant_account, livemode, kind, ref)
            union
            select w.parked_id
            from payment_refs r
            join parked_refs w using (provider, account, merchant_account, livemode, kind, ref)
            where r.payment_id = any($7::uuid[])
        )
        order by id
        limit $8
    ) as waiting
) as sized
join parked_events p using (id)
where sized.bytes_before < $9
order by p.id
