"""What every process needs: settings, clock, log, connections, leases, retries, health, the embedded brokers.

Nothing here knows a provider, a payment's state or a role's work. `runtime.settings` alone reads the environment and
`runtime.retry` alone imports `backoff`.
"""
