-- $1 redrive, $2 status, $3 why it did not run to its end
update redrives
set status = $2, stop_reason = $3, started_at = coalesce(started_at, clock_timestamp()),
    updated_at = clock_timestamp(), ended_at = clock_timestamp()
where id = $1 and status in ('queued', 'running')
