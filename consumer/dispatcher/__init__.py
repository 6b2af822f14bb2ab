"""The dispatcher: does outside what the consumer queued in Postgres, and brings the answers back to the ledger.

`role` holds the lease and runs the jobs' workers; `worker` is their loop. `refetch` reads payments again at the
providers' APIs (`apis`: one API's credentials, rate limit, breaker and token) and spools its answers like events;
`stale` queues again what nothing may ever tell the end of; `recall` asks providers' lists for webhooks that never came,
and `recall_order` reads them where somebody orders it (`lists`: one account's; `recall_rows` writes what a page brings,
`recall_found` counts it). `sms` sends messages to customers through a `sender`, of which `twilio` is one.

Each thing is claimed in Postgres before it is done and its result noted after it, both under the
lease: a crash between the two repeats what is harmless to repeat, and looks up what is not.
"""
