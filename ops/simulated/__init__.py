"""Payments' lives in the events of providers that the sample does not post: what `ratchet simulate` plays for them.

`step` has the steps of a life and the payment that they are about. One file a provider makes requests of a step and
signs them as the provider does; `players` lists them. A scenario's steps and its end come from `ops.sample.scenarios`.
Pure.
"""
