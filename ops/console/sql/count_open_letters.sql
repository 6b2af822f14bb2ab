-- $1 reasons, $2 how far to count each.
select asked.reason, counted.open
from unnest($1::text[]) as asked (reason)
cross join lateral (
    select count(*) as open
    from (select from dead_letters where status = 'open' and dead_letters.reason = asked.reason limit $2) as letters
) as counted
where counted.open > 0
order by counted.open desc, asked.reason
