-- $1 sources, $2 event ids, pairwise
select distinct source, event_id
from dead_letters
inner join unnest($1::text[], $2::text[]) as asked (source, event_id) using (source, event_id)
