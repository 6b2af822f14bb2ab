"""Small changes of SQL statements, each of which a test must notice: `make mutation-sql`.

pglast (Postgres' own parser) reads a statement, one node of its tree is changed, and the tree is printed again. Those
tests run that were seen to load the statement, the quickest first. `equal.toml` names the changes that change nothing
that anybody could see, with the reason.
"""
