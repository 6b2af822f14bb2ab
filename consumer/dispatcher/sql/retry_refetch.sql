-- $1 id, $2 attempts as claimed, $3 seconds until the next try, $4 error, $5 tries that did not happen.
-- updated_at stays: it is the mark of whoever asks again.
update refetches
set next_attempt_at = clock_timestamp() + make_interval(secs => $3),
    last_error = coalesce($4, last_error),
    attempts = attempts - $5
where id = $1 and attempts = $2 and status = 'queued'
