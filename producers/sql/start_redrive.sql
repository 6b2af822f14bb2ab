-- $1 redrive
update redrives
set status = 'running', started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
where id = $1 and status = 'queued'
