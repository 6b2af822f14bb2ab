-- $1 sources, $2 event ids, pairwise. A redriven letter stands nowhere by itself: what came of it does.
select distinct source, event_id
from dead_letters
inner join unnest($1::text[], $2::text[]) as asked (source, event_id) using (source, event_id)
where status <> 'redriven'
