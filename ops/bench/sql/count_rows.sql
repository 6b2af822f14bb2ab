-- Events in the ledger (not the notes of an order's attempts, which are no events), dead letters, parked events.
select (select count(*) from payment_logs where source <> 'ratchet'), (select count(*) from dead_letters),
    (select count(*) from parked_events)
