"""deploy/postgres/10-roles.sh on a real server: each process logs in with its own password, and has its own rights."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from runtime.migrations import migrate_up
from runtime.stack import postgres
from tests.conftest import run_as_superuser, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

DEPLOY = Path(__file__).parents[2] / "deploy"
PROCESSES = ("ingress", "consumer", "relay", "dispatcher", "console", "ops")


class Server:
    """A server with roles of a name that no other test has; the script says `ratchet`."""

    def __init__(self, name: str, superuser_dsn: str, folder: Path) -> None:
        self.name, self._superuser_dsn, self._folder = name, superuser_dsn, folder

    def make_secrets(self) -> None:
        (self._folder / "new-secrets.sh").write_text((DEPLOY / "new-secrets.sh").read_text())
        subprocess.run(["sh", "new-secrets.sh"], cwd=self._folder, check=True, capture_output=True)
        roles = self._folder / "secrets" / "postgres_roles"
        roles.write_text(roles.read_text().replace("ratchet", self.name))

    def run(self, script: str) -> None:
        text = (DEPLOY / script).read_text()
        path = self._folder / Path(script).name
        path.write_text(text.replace("ratchet", self.name))
        found = urlsplit(self._superuser_dsn)
        subprocess.run(
            ["sh", str(path)],
            check=True,
            cwd=self._folder,
            env=os.environ
            | {
                "PATH": f"{postgres.programs()}:{os.environ['PATH']}",
                "PGHOST": str(found.hostname),
                "PGPORT": str(found.port),
                "PGPASSWORD": str(found.password),
                "POSTGRES_USER": str(found.username),
                "RATCHET_SECRETS": str(self._folder / "secrets"),
            },
        )

    def passwords(self) -> dict[str, str]:
        lines = (self._folder / "secrets" / "postgres_roles").read_text().splitlines()
        return dict(line.split() for line in lines)

    def dsn(self, role: str, password: str) -> str:
        found = urlsplit(with_database(self._superuser_dsn, self.name))
        return found._replace(netloc=f"{role}:{password}@{found.hostname}:{found.port}").geturl()

    def owner_password(self) -> str:
        return (self._folder / "secrets" / "postgres_owner_password").read_text()


@pytest.fixture
async def server(stack: Endpoints, tmp_path: Path) -> AsyncIterator[Server]:
    name = f"roles{uuid.uuid4().hex[:12]}"
    made = Server(name, stack.superuser_dsn, tmp_path)
    await asyncio.to_thread(made.make_secrets)
    yield made
    await run_as_superuser(stack, f"drop database if exists {name} with (force)")
    await run_as_superuser(stack, *(f"drop role if exists {name}_{one}" for one in (*PROCESSES, "app", "owner")))


async def test_each_process_logs_in_and_does_its_own_work_alone(server: Server) -> None:
    await asyncio.to_thread(server.run, "postgres/10-roles.sh")
    await asyncio.to_thread(server.run, "postgres/10-roles.sh")  # again, as on a folder of an older version
    owner = server.dsn(f"{server.name}_owner", server.owner_password())
    assert await migrate_up(owner, f"{server.name}_app")
    passwords = server.passwords()
    assert set(passwords) == {f"{server.name}_{one}" for one in PROCESSES}
    may = {}
    for role, password in passwords.items():
        connection = await asyncpg.connect(server.dsn(role, password))
        may[role.rpartition("_")[2]] = await connection.fetchval(
            "select has_table_privilege('payment_logs', 'insert') and not has_table_privilege('payment_logs', 'update')"
        )
        await connection.close()
    assert may == {one: one == "consumer" for one in PROCESSES}


async def test_the_name_of_the_application_logs_nobody_in(server: Server) -> None:
    await asyncio.to_thread(server.run, "postgres/10-roles.sh")
    for password in ("", server.owner_password()):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(server.dsn(f"{server.name}_app", password))
