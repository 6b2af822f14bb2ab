"""The front door: HTTP in, verified raw bytes out to Kafka, 202 only once they are durable.

In reading order, one file a concern: `app` (the role and its routes), `receipt` (the connection: deadlines, refusals
before a request exists; `http_framing`, `connection_places`), `lines` (one canonical line a request), `webhooks` (one
webhook from body to answer), `routes` and `endpoints` (which provider, which secrets), `body` (bounded reading),
`admission` (the windows), `evidence` (what a request is judged by: live secrets, the sender's address in `sources`, a
certificate in `certificates`, trust in `trust`), `dear_checks` (what costs milliseconds waits for its turn),
`rate_limits` (quotas, asked only where nothing is proven), `hints` (unsigned webhooks), `twins` (copies of one
delivery), `records` (events as Kafka records), `publisher` (Kafka, or the spool), `spool` (in groups: `group_commit`),
`readiness`, `answers`.
The folder `intents` is the payment-intents API.
What an event means is none of its business.
"""
