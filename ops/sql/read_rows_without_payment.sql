-- $1, $2 the place to go on after, $3 rows. Ledger rows of no payment, and of payments that are not there.
select
    l.id, l.payment_id, l.source, l.event_id, l.event_type, l.outcome, l.from_status, l.to_status, l.amount, l.version,
    l.facts, l.topic, l.partition, l."offset", l.occurred_at, l.recorded_at, l.relay_xid, l.hash, l.traceparent, l.meaning
from payment_logs l
where (l.relay_xid, l.id) > ($1::bigint, $2::bigint)
  and (l.payment_id is null or not exists (select from payments p where p.id = l.payment_id))
order by l.relay_xid, l.id
limit $3
