-- A webhook came about objects whose state a list had shown first. $1 sources, $2 the objects' ids.
with held as (
    select r.source, r.event_id
    from unnest($1::text::text[], $2::text::text[]) as n (source, ref)
    join recalled_events as r on r.ref = n.ref and r.source = n.source
    where r.webhook_at is null
    order by r.source, r.event_id
    for update of r
)
update recalled_events as r
set webhook_at = clock_timestamp()
from held
where r.source = held.source and r.event_id = held.event_id
