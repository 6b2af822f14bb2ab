-- $1 redrive (null: any), $2 rows
select
    id, status, requested_by, filter, rate_per_second, policy, forced, matched, selected, published, skipped, failed,
    (select count(*) from redrive_returns where redrive_id = redrives.id) as returned,
    stop_requested_by is not null and ended_at is null as stopping, stop_reason, created_at, started_at, updated_at,
    ended_at
from redrives
where $1::bigint is null or id = $1
order by id desc
limit $2
