"""Everything that writes to Kafka: the ingress that takes HTTP in, and the relay that turns Postgres into Kafka.

The ingress verifies, stamps and publishes; it never interprets. Nothing here reads a topic of payments or folds a fact.
"""
