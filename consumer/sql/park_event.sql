-- Park one event and say which references it waits on.
with parked as (
    insert into parked_events (
        source, event_id, event_type, reason, detail, facts, topic, partition, "offset", timestamp_ms, key, value,
        header_names, header_values, parked_at, deadline, meaning)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
    returning id
)
insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)
select n.provider, n.account, n.merchant_account, n.livemode, n.kind, n.ref, parked.id
from parked,
    unnest($18::text[], $19::text[], $20::text[], $21::boolean[], $22::text[], $23::text[])
        as n (provider, account, merchant_account, livemode, kind, ref)
