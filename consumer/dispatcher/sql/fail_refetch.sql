-- $1 id, $2 attempts and $3 updated_at as claimed, $4 error, $5 seconds after which a payment is read again at the
-- earliest, $6 after which the clock asks again (queue_stale). Asked for again meanwhile: what was not there may be now.
update refetches
set status = case when updated_at = $3 then 'failed' else 'queued' end,
    attempts = case when updated_at = $3 then attempts else 0 end,
    next_attempt_at = clock_timestamp()
        + make_interval(secs => case when updated_at = $3 then $6::float8 else $5::float8 end),
    last_error = $4,
    updated_at = clock_timestamp()
where id = $1 and attempts = $2 and status = 'queued'
