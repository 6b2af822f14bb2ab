"""The relay: Postgres to Kafka. It alone publishes changes, dead letters and what the ingress spooled.

Six lanes under one lease, each its own loop: ledger rows to `payments.changes`, the payments whose newest row is among
them to `payments.state`, commands to `payments.commands`, dead letters to `payments.dlq`, the spool to the topic that
each row names, and dead letters that are redriven to the topic they came from. A lane reads a batch of final rows in
order, publishes it, waits for every acknowledgement and only then moves its cursor (or deletes the spooled rows): what
a crash leaves is published again, never skipped.

Why the order holds. A row is final when its `relay_xid` is below the snapshot's xmin. `relay_xid` is never below the
id of the transaction that wrote the row, so all rows below xmin belong to transactions that have ended: the set is
final, and a cursor over (relay_xid, id) skips nothing however late an old transaction commits. A payment's next row is
written under its lock by one who has seen the row before: its `relay_xid` is not smaller and its id is larger, so
versions leave in order. Within a partition one Kafka batch is under way at a time, so a batch that fails is never
overtaken by the next.

`destination` publishes what a lane has read; `rate_limiter` is the redrives' own. `rebase` mends a restored database.
`depth`, `sampling` and `holdups` count what waits, and show it.

Read `role` (the process), then `lanes`, `redrive`, `loop` and `records`; `cluster` guards against a restored database,
`cleaning` deletes expired idempotency records and old commands.
"""

from producers.relay.depth import outbox_depth
from producers.relay.role import serve

__all__ = ["outbox_depth", "serve"]
