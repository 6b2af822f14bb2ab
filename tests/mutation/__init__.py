"""Small changes of the pure modules, each of which a test must notice: `make mutation`.

The changes are those of cosmic-ray's operators, the trials are forked as those of `mutants`. `equal.toml` names the
changes that change nothing that anybody could see, with the reason.
"""
