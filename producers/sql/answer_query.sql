-- A webhook that answers a query of ours which is open goes into the ledger as what the API answered, and its refetch is
-- done, at once or not at all. $1 provider, $2 account, $3 the query's id, $4 the id that the answer is about; $5 topic,
-- $6 key, $7 value, $8 header names, $9 header values; $10 seconds after which a payment is read again at the earliest.
-- Asked for again since the query left: the answer may be older than what happened, so it is queued once more.
with answered as (
    update refetches
    set status = case when updated_at = query_at then 'done' else 'queued' end,
        attempts = case when updated_at = query_at then attempts else 0 end,
        next_attempt_at = clock_timestamp() + make_interval(secs => $10),
        last_error = null,
        query_id = null,
        known = true,
        updated_at = clock_timestamp()
    where query_id = $3 and provider = $1 and lower(account) = lower($2) and ref = $4 and status = 'queued'
    returning id
)
insert into spool (topic, key, value, header_names, header_values)
select $5, $6, $7, $8, $9
from answered
returning id
