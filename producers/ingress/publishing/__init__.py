"""From verified events to durable records: the 202 waits for what is here.

In reading order: `records` (an event as a Kafka record), `publisher` (Kafka, or the spool while Kafka is away;
`deadlines` bounds its waits), `spool` (the table that the relay empties; `group_commit` has requests share a
transaction). Nothing here knows HTTP or a provider.
"""
