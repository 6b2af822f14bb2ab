-- $1 id, $2 attempts as claimed, $3 seconds until the next try. The try was none: it counts no more.
update sms_transactions
set status = 'queued', attempts = attempts - 1, next_attempt_at = clock_timestamp() + make_interval(secs => $3)
where id = $1 and attempts = $2 and status = 'sending'
