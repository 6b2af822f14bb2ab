"""What every process needs: settings, clock, log, connections, leases, retries, health, the embedded brokers.

Nothing here knows a payment's state or a role's work, or does what is special to a provider; `settings` names some of
them for the options that only they have, and `masking` knows what their tokens look like. `runtime.settings` alone
reads settings from the environment, and `runtime.retry` alone imports `backoff`.
"""
