-- The answer goes into the ledger and its refetch is done, at once or not at all. $1 id, $2 attempts and $3 updated_at
-- as claimed; $4 topic, $5 key, $6 value, $7 header names, $8 header values; $9 seconds after which a payment is read
-- again at the earliest. Asked for again meanwhile: the answer may be older than what happened, so it is queued once
-- more, with its tries counted anew. What the provider answered about is known from now on.
with done as (
    update refetches
    set status = case when updated_at = $3 then 'done' else 'queued' end,
        attempts = case when updated_at = $3 then attempts else 0 end,
        next_attempt_at = clock_timestamp() + make_interval(secs => $9),
        last_error = null,
        known = true,
        updated_at = clock_timestamp()
    where id = $1 and attempts = $2 and status = 'queued'
    returning id
)
insert into spool (topic, key, value, header_names, header_values)
select $4, $5, $6, $7, $8
from done
returning id
