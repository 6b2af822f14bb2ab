"""Contracts: what a payment, a fact, an event and a dead letter are.

Here live frozen types, closed vocabularies and the pure rules that define them. Nothing here does I/O, reads a clock,
logs or imports another folder of ours; pydantic, msgspec and the standard library are the only imports. A new payment's
id takes random bytes from the system: the one thing here that is not the same twice. What a provider says lives in
`providers`, what becomes of it in `consumer`.
"""
