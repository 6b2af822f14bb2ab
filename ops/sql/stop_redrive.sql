-- $1 redrive, $2 who
update redrives
set stop_requested_by = $2, updated_at = clock_timestamp()
where id = $1 and status in ('queued', 'running') and stop_requested_by is null
