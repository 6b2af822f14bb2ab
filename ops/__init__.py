"""The composition roots: the command line, the supervisor of `ratchet up`, the sample's simulator, the reconciliation.

Everything may be imported from here and nobody imports this room. Decisions belong below; here they are wired, shown
and stopped.
"""
