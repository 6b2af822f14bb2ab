"""The composition roots: the command line, the supervisor of `ratchet up`, the sample's simulator, the reconciliation.

This room may import every other one, and none imports it. Decisions belong below; here parts are put together, started,
shown and stopped.
"""
