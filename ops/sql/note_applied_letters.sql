-- A letter of an orphan that was read back, and whose event is in the ledger, was applied when its payment came.
update dead_letters d
set status = 'applied'
where d.relay_xid = 1
    and d.status = 'open'
    and d.reason = 'orphan'
    and exists (select from payment_logs l where l.source = d.source and l.event_id = d.event_id)
