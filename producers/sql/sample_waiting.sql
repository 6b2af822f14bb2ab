-- $1 rows, at most, that are counted of each kind. What waits, by kind (parked, open) and reason.
select 'parked' as kind, reason, count(*)
from (select reason from parked_events limit $1) as parked
group by reason
union all
select 'open', reason, count(*)
from (select reason from dead_letters where status = 'open' limit $1) as letters
group by reason
