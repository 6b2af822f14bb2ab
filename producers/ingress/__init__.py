"""The ingress: HTTP in, verified raw bytes out to Kafka, 202 only once they are durable.

In reading order, one file a concern: `app` (the role and its routes), `http_protocol` (the connection: deadlines,
refusals before a request exists; `http_framing`, `connection_places`, `uvicorn_parts`), `access_log` (one canonical
line a request), `webhooks` (one webhook from body to answer), `routes` and `endpoints` (which provider, which secrets),
`body` (bounded reading), `admission` (the windows), `verification_inputs` (what is needed beside the request's own
bytes: live secrets, the sender's address in `sources`, a certificate in `certificates`, its roots in `trust_roots`),
`dear_checks` (what costs milliseconds waits for its turn), `rate_limits` (quotas, asked only where nothing is proven),
`hints` (unsigned webhooks), `single_flight` (copies of one delivery), `records` (events as Kafka records), `publisher`
(Kafka, or the spool), `spool` (in groups: `group_commit`), `readiness`, `answers`.

The folder `intents` is the payment-intents API.
What an event means is none of its business.
"""
