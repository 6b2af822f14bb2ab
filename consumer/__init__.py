"""Kafka to Postgres: one batch is one transaction.

`loop` is the only loop, `poller` fetches and commits offsets, `pool` holds the workers, `processing` the one failure
policy, `quarantine` what is noted of records before they are touched, `transaction` how a batch is read, decided and
written; `ledger_reader` is the port through which a batch, a dry run and tests read, `fold` and `verdict` are the pure
decisions.
Nothing here publishes to Kafka: what others must learn is a row, and the relay forwards it.
"""
