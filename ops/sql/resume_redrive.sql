-- $1 redrive, $2 who: let one go on that was stopped, is about to be, or has failed; what came back by now is forgiven.
update redrives
set status = 'queued', stop_requested_by = null, stop_reason = left('resumed by ' || $2, 500), ended_at = null,
    published_before = published, failed_before = failed, updated_at = clock_timestamp()
where id = $1 and (status in ('stopped', 'failed') or status in ('queued', 'running') and stop_requested_by is not null)
