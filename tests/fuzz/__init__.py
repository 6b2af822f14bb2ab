"""Bytes that nobody thought of, put to everything that reads what strangers send: `make fuzz`.

`targets` say what must hold, `seeds` where to begin, `run` does it; `corpus` keeps the inputs that once showed a fault,
or that reach what no seed reaches. `make test` puts all seeds and the corpus to the targets.
"""
