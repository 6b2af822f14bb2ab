"""`make cluster`: three Kafka brokers, two Postgres servers, two of each role, and faults of machines and network.

`python -m cluster.run` plays scenarios one after the other, each on servers of its own, and writes docs/faults.md.
"""
