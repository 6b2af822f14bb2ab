"""The ingress: HTTP in, verified raw bytes out to Kafka, 202 only once they are durable.

In reading order: `app` (the role and its routes), `http/` (the connection), `access_log` (one canonical line a
request), `webhooks` (one webhook from body to answer), `verification/` (what its signature check needs), `publishing/`
(Kafka, or the spool). `intents/` is the payment-intents API.

What `webhooks` asks on its way: `routes` and `endpoints` (which provider, which secrets; `trust_roots` reads PEM
files), `body` (bounded reading), `admission` (places for requests), `rate_limits` (quotas, asked only where nothing is
proven; `sources` knows addresses), `single_flight` (copies of one delivery), `hints` (unsigned webhooks), `clock_check`
(whether our clock refuses what is genuine). `answers`, `transactions` (of Postgres, for hints and intents), `commits`
(how long one waits for a COMMIT) and `readiness` serve all of them.
What an event means is none of the ingress' business.
"""
