-- $1 rows, at most, that are counted of each kind. What waits, by kind (parked, open, noted, unanswered, flagged) and
-- reason, command or flag; open are the dead letters without a note that stands, noted those with one;
-- seconds: since when the oldest payment with the flag has had any.
select 'parked' as kind, reason, count(*), null::float8 as seconds
from (select reason from parked_events limit $1) as parked
group by reason
union all
select 'open', reason, count(*), null
from (
    select reason from dead_letters where status = 'open' and id not in (select id from noted_dead_letters) limit $1
) as letters
group by reason
union all
select 'noted', reason, count(distinct id), null
from (select id, reason from noted_dead_letters limit $1) as noted
group by reason
union all
select 'unanswered', command, count(*), null
from (
    select command
    from commands
    where (state is null or state = 'accepted') and expires_at <= clock_timestamp()
    limit $1
) as unanswered
group by command
union all
select 'flagged', flag, count(*), extract(epoch from clock_timestamp() - min(flagged_at))::float8
from (
    select flags, flagged_at
    from payments
    where flagged_at is not null and merged_into is null and livemode
    order by flagged_at
    limit $1
) as flagged cross join unnest(flags) as flag
group by flag
