-- Lock those of these dead letters that are still open: nobody redrives or discards them meanwhile. One whose event was
-- delivered again and waits once more is left to that. $1 their ids. The references of their events are locked before.
select d.id
from dead_letters d
where d.id = any($1::bigint[]) and d.status = 'open' and d.redacted_at is null
    and not exists (select from parked_events p where p.source = d.source and p.event_id = d.event_id)
order by d.id
for no key update of d
