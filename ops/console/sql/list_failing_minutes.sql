-- Every minute since $1 of the providers with something that failed since $2.
select began_at, provider, outcome, detail, events
from outcome_counts
where seconds = 60 and began_at >= $1
    and provider in (
        select recent.provider
        from outcome_counts as recent
        where recent.seconds = 60 and recent.began_at >= $2 and recent.outcome in ('conflict', 'dead_letter', 'refused')
    )
order by began_at
