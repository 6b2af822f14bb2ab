-- Park one event and say which names it waits on.
with parked as (
    insert into parked_events (
        source, event_id, event_type, reason, detail, facts, topic, partition, "offset", timestamp_ms, key, value,
        header_names, header_values, parked_at, deadline)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    returning id
)
insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)
select n.provider, n.account, n.merchant_account, n.livemode, n.kind, n.ref, parked.id
from parked,
    unnest($17::text[], $18::text[], $19::text[], $20::boolean[], $21::text[], $22::text[])
        as n (provider, account, merchant_account, livemode, kind, ref)
