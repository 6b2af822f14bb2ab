-- $1 sources, $2 event ids, pairwise. A letter that was redriven or applied stands nowhere by itself: what came of it
-- does.
select distinct source, event_id
from dead_letters
inner join unnest($1::text[], $2::text[]) as asked (source, event_id) using (source, event_id)
where status not in ('redriven', 'applied')
