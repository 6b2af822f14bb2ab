-- Bodies whose event is neither in the ledger nor waiting: they count for nothing. $1 is not used (all removals are called alike), $2 rows
delete from body_claims
where (source, digest) in (
    select source, digest from body_claims b
    where $1::timestamptz is not null
        and not exists (select from payment_logs l where l.source = b.source and l.event_id = b.event_id)
        and not exists (select from parked_events p where p.source = b.source and p.event_id = b.event_id)
    limit $2
    for update skip locked
)
