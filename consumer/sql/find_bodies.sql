-- Which bodies of senders with unsigned event ids are in the ledger already.
select b.source, b.digest
from unnest($1::text[], $2::bytea[]) as n (source, digest)
join body_claims b using (source, digest)
where coalesce(
    (select true from payment_logs l where l.source = b.source and l.event_id = b.event_id limit 1),
    (select true from parked_events p where p.source = b.source and p.event_id = b.event_id limit 1))
