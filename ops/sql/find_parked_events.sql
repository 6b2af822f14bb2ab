-- $1 sources, $2 event ids, pairwise
select source, event_id
from parked_events
inner join unnest($1::text[], $2::text[]) as asked (source, event_id) using (source, event_id)
