"""PgBouncer between us and Postgres: in session mode as without it, in transaction mode a refusal that says why."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from consumer_harness import until, webhook
from consumer_processes import consumer_processes
from pydantic import SecretStr

from ops import availability
from ops.database import connected
from runtime.postgres import open_pool
from runtime.settings import PostgresSettings, Settings
from schemas.errors import SharedSessionsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Database

    from runtime.stack import Endpoints

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (Debian: apt-get install pgbouncer)"),
]
DROPS_SETTINGS = (
    "ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout,"
    " synchronous_commit, enable_seqscan, enable_hashjoin, enable_mergejoin, jit\n"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def pgbouncer(folder: Path, database: Database, mode: str, extra: str = "") -> Iterator[str]:
    """Run PgBouncer before a database; yield the application's DSN through it."""
    there, port = urlsplit(database.dsn), free_port()
    folder.mkdir()
    (folder / "users.txt").write_text(f'"{there.username}" "{there.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={there.hostname} port={there.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {folder}/users.txt\n"
        f"pool_mode = {mode}\n{extra}"
    )
    words = [str(PGBOUNCER), str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it does not run as root
        nobody = pwd.getpwnam("nobody")
        for path in (folder, *folder.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        for parent in folder.parents[:3]:
            parent.chmod(parent.stat().st_mode | 0o011)
        words[1:1] = ["-u", "nobody"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield there._replace(netloc=f"{there.username}:{there.password}@127.0.0.1:{port}").geturl()
    finally:
        process.terminate()
        process.wait(10)


async def answers(dsn: str) -> None:
    port = urlsplit(dsn).port
    assert port is not None

    async def listens() -> bool:
        with socket.socket() as found:
            return found.connect_ex(("127.0.0.1", port)) == 0

    await until(listens, "PgBouncer listens")


def settings_of(dsn: str) -> PostgresSettings:
    return PostgresSettings(dsn=SecretStr(dsn))


@pytest.mark.parametrize("extra", ["", DROPS_SETTINGS], ids=["refuses settings", "drops settings"])
async def test_in_session_mode_all_works_and_every_bound_holds(
    stack: Endpoints, database: Database, tmp_path: Path, extra: str
) -> None:
    with pgbouncer(tmp_path / "pooler", database, "session", extra) as dsn:
        await answers(dsn)
        pool = await open_pool(settings_of(dsn), role="consumer", parameters={"enable_seqscan": "off"})
        try:
            for name, value in (("statement_timeout", "30s"), ("synchronous_commit", "on"), ("enable_seqscan", "off")):
                assert await pool.fetchval("select current_setting($1)", name) == value
        finally:
            await pool.close()
        async with consumer_processes(stack.kafka, database, tmp_path) as harness:
            harness.spawn(dsn=dsn)
            await harness.publish([webhook("payment.created", f"p{number}") for number in range(20)])

            async def applied() -> bool:
                return await harness.count("payments") == 20

            await until(applied, "the consumer applies events through it")


async def test_in_transaction_mode_the_reason_is_reported_at_the_start_and_by_doctor(
    stack: Endpoints, database: Database, tmp_path: Path
) -> None:
    with pgbouncer(tmp_path / "pooler", database, "transaction", DROPS_SETTINGS) as dsn:
        await answers(dsn)
        with pytest.raises(SharedSessionsError, match=r"transaction mode .* set pool_mode = session"):
            await open_pool(settings_of(dsn), role="relay")
        settings = Settings().model_copy(update={"postgres": settings_of(dsn)})
        async with connected(settings, as_it_is=True) as connection:
            found = await availability.cluster_findings(settings, connection)
        assert [one.check for one in found if not one.ok] == ["session"]
        async with consumer_processes(stack.kafka, database, tmp_path) as harness:
            child = harness.spawn(dsn=dsn)

            async def says_why() -> bool:
                return any("transaction mode" in line["detail"] for line in child.lines("sessions_shared_at_start"))

            await until(says_why, "the consumer says why it does not start")
        await (await open_pool(settings_of(dsn), role="ingress", any_schema=True)).close()
