"""PgBouncer before a Postgres server, where it is installed (Debian: apt-get install pgbouncer)."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
DROPS_SETTINGS = (
    "ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout,"
    " synchronous_commit, enable_seqscan, enable_hashjoin, enable_mergejoin, jit\n"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def pgbouncer(folder: Path, dsn: str, mode: str, extra: str = "", port: int | None = None) -> Iterator[str]:
    """Run PgBouncer before the server of a DSN, for its user; yield that user's DSN through it."""
    there, port = urlsplit(dsn), port or free_port()
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
        wait_until(lambda: listens(port), "PgBouncer listens")
        yield there._replace(netloc=f"{there.username}:{there.password}@127.0.0.1:{port}").geturl()
    finally:
        process.terminate()
        process.wait(10)
