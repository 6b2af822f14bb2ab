"""`make bench`: contenders on the same brokers, the same events and the same tables, alternating in one run.

A contender is a process of its own that processes a preloaded topic; its rows are compared with plain arithmetic, and a
wrong row voids its figure. Absolute figures are the machine's; the ratios are what counts. Nothing here is imported by
a role.
"""
