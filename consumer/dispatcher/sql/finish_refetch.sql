-- The answer goes into the ledger and its refetch is done, at once or not at all. $1 id, $2 attempts and $3 updated_at
-- as claimed; $4 topic, $5 key, $6 value, $7 header names, $8 header values; $9 seconds after which a payment is read
-- again at the earliest. Asked for again meanwhile: the answer may be older than what happened, so it is queued once
-- more, with its tries counted anew. What the provider answered about is known from now on. $10 event ids (ce_id) of
-- further events that the answer makes: rows like the first but for that header.
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
select $4, $5, $6, $7, header_values
from done
cross join lateral (
    select $8::bytea[] as header_values
    union all
    select array_replace($8, ($8)[array_position($7::bytea[], 'ce_id')], event_id) from unnest($10::bytea[]) f (event_id)
) r
returning id
