"""Load through the real ingress, and whether every 2xx is in the ledger afterwards.

`shapes` says how many users there are when; `traffic` what they post; `journal` what was answered; `compare` holds
that against the rows that `effects` reads. All of these are plain and known to the tests. `locustfile` is the only one
that knows Locust, which patches the whole process, so `run` starts it as a process of its own.
"""
