-- $1 minutes, $2 providers, $3 outcomes, $4 details, $5 events: each into its minute, its ten minutes and its hour.
insert into outcome_counts (seconds, began_at, provider, outcome, detail, events)
select
    span.seconds, date_bin(make_interval(secs => span.seconds), fresh.minute, timestamptz '2000-01-01 00:00Z') as began,
    fresh.provider, fresh.outcome, fresh.detail, sum(fresh.events)
from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[])
    as fresh (minute, provider, outcome, detail, events)
cross join (values (60), (600), (3600)) as span (seconds)
group by span.seconds, began, fresh.provider, fresh.outcome, fresh.detail
on conflict (seconds, began_at, provider, outcome, detail)
    do update set events = outcome_counts.events + excluded.events
