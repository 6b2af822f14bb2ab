-- Note what a list showed that is not known; return those: they are to be spooled in the same transaction. $1 source,
-- $2 event ids, $3 kinds, $4 objects' ids or nulls, $5 when each happened, $6 when the endpoint's secret was configured.
-- What the ledger knows, what is parked or a dead letter has come already, and so has what another page showed.
insert into recalled_events (source, event_id, kind, ref, occurred_at, history)
select $1, n.event_id, n.kind, n.ref, n.occurred_at, n.occurred_at < $6
from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[]) as n (event_id, kind, ref, occurred_at)
where not exists (select from payment_logs as l where l.source = $1 and l.event_id = n.event_id)
    and not exists (select from parked_events as p where p.source = $1 and p.event_id = n.event_id)
    and not exists (select from dead_letters as d where d.source = $1 and d.event_id = n.event_id)
order by n.event_id
on conflict (source, event_id) do nothing
returning event_id
