-- Which of these events are known: in the ledger, parked, a dead letter, or on their way from a list. $1 source, $2 ids.
select n.event_id
from unnest($2::text[]) as n (event_id)
where exists (select from payment_logs as l where l.source = $1 and l.event_id = n.event_id)
    or exists (select from parked_events as p where p.source = $1 and p.event_id = n.event_id)
    or exists (select from dead_letters as d where d.source = $1 and d.event_id = n.event_id)
    or exists (select from recalled_events as r where r.source = $1 and r.event_id = n.event_id)
