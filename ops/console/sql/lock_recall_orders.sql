-- One writes an order at a time, until the transaction ends: how many are open is counted before.
select pg_advisory_xact_lock(hashtext('ratchet.recall_orders'))
