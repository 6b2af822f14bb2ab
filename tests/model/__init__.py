"""All interleavings of two or three real transactions, on the real Postgres: `make model`.

`stepping` lets the product's own code run one statement at a time, `exploring` tries every order of the statements,
`database` puts the rows back before each try, `planting` takes a fix out. Each module of `worlds` is a small world:
what it begins with, who acts, and what must hold however the statements fall.
"""
