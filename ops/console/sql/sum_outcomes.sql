-- $1 how long a stretch is, $2 not before. What became of all providers' events, a stretch and outcome each.
select began_at, outcome, sum(events)::bigint as events
from outcome_counts
where seconds = $1 and began_at >= $2
group by began_at, outcome
