-- $1 sources, $2 event ids, pairwise
select source, event_id, outcome, payment_id
from payment_logs
inner join unnest($1::text[], $2::text[]) as asked (source, event_id) using (source, event_id)
