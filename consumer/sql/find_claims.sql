-- Which events are in the books already, and what they said; a row of nulls where any event waits for a name.
select source, event_id, l.facts
from unnest($1::text::text[], $2::text::text[]) as n (source, event_id)
join payment_logs l using (source, event_id)
union all
select source, event_id, p.facts
from unnest($1::text::text[], $2::text::text[]) as n (source, event_id)
join parked_events p using (source, event_id)
union all
select null, null, null where exists (select from parked_refs)
