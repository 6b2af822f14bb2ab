"""SQL as files: one statement a file, named verb_noun.sql, beside the code that runs it."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def statement(package: str, name: str) -> str:
    """Return the statement `name`.sql of a package's `sql` folder, e.g. ("consumer", "lock_refs")."""
    return resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
