-- In which windows webhooks did not come: events that recall brought first, less than an hour between one and the next of
-- a source. `lost` never came while their provider tried, `late` came after recall, the rest may come still. $1 windows,
-- the newest first.
with marked as (
    select
        source, kind, occurred_at, webhook_at, lost_at,
        occurred_at - lag(occurred_at) over by_time >= interval '1 hour' or lag(occurred_at) over by_time is null as begins
    from recalled_events
    where first_at is not null and not history
    window by_time as (partition by source order by occurred_at)
), numbered as (
    select *, count(*) filter (where begins) over (partition by source order by occurred_at) as number from marked
)
select
    source, min(occurred_at) as since, max(occurred_at) as until, count(*) as events,
    count(*) filter (where lost_at is not null) as lost,
    count(*) filter (where lost_at is null and webhook_at is not null) as late,
    count(*) filter (where lost_at is null and webhook_at is null) as waiting,
    (array_agg(distinct kind order by kind))[1:6] as kinds
from numbered
group by source, number
order by since desc
limit $1
