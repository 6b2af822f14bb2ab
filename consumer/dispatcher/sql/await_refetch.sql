-- The API took the query; its answer comes by a webhook. $1 id, $2 attempts and $3 updated_at as claimed, $4 the query's
-- id, $5 seconds after which it is asked again where no answer came.
update refetches
set query_id = $4,
    query_at = $3,
    next_attempt_at = clock_timestamp() + make_interval(secs => $5),
    last_error = 'the API answers by a webhook, which has not come yet'
where id = $1 and attempts = $2 and status = 'queued'
