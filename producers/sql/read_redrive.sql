-- The redrive that is under way, or the oldest one that waits.
select id, rate_per_second, target_topic, stop_requested_by
from redrives
where status in ('queued', 'running')
order by status = 'queued', id
limit 1
