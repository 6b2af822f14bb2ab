"""Contracts: what a payment, a fact, an event and a dead letter are.

Here live frozen types, closed vocabularies and the pure rules that define them. Nothing here does I/O, reads a
clock, logs or imports another room; pydantic and the standard library are the only imports. What a provider says
lives in `providers`, what becomes of it in `consumer`.
"""
