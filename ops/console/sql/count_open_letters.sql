-- $1 reasons, $2 how far to count each; how many of them a note speaks of; with the times of the oldest and the newest of all.
select
    asked.reason, counted.open,
    (select count(distinct id) from noted_dead_letters where reason = asked.reason) as noted,
    (select created_at from dead_letters where status = 'open' and reason = asked.reason order by id limit 1) as oldest,
    (select created_at from dead_letters where status = 'open' and reason = asked.reason order by id desc limit 1) as newest
from unnest($1::text[]) as asked (reason)
cross join lateral (
    select count(*) as open
    from (select from dead_letters where status = 'open' and dead_letters.reason = asked.reason limit $2) as letters
) as counted
where counted.open > 0
order by counted.open desc, asked.reason
