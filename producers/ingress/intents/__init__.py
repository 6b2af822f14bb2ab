"""The payment-intents API: what upstream services ask for, recorded, answered and queued in one Postgres transaction.

In reading order: `handler` (one request from its head to its answer), `routes` (paths), `clients` (API keys), `keys`
(Idempotency-Key), `references` (queries), `bodies` (commands), `idempotency` (the transaction), `payment_view` (a
payment as its client sees it; `schemas.command_room` says what it has room for), `queued` (the record for the spool),
`answers`, and `wiring` (its routes and OpenAPI document).
Kafka is the relay's business: a crash at any point leaves nothing, or all of it. So is deleting what has expired.
"""
