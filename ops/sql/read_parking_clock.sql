-- Since when time does not count against parked events, where that is for longer than $1, and what it waits for.
select moved_at as since, extract(epoch from clock_timestamp() - moved_at)::float8 as seconds, waits_for,
    (select count(*) from (select from parked_events limit 1000000) p) as parked
from parking_clock
where moved_at < clock_timestamp() - $1::interval
