-- $1 sources, $2 event ids, pairwise; $3: letters up to this id were there before
select distinct source, event_id
from dead_letters
inner join unnest($1::text[], $2::text[]) as asked (source, event_id) using (source, event_id)
where dead_letters.id > $3 and status = 'open'
