"""Outsiders' tests, run against us where an interface fits: `make outsiders`.

`suites` lists them; a module `as_*` is a plugin of pytest that puts us in the place of the library that they test.
Nothing of theirs is kept in this tree: what a package does not bring is fetched from its repository for the run.
"""
