"""Ports and passwords that a home keeps: chosen at its first start, the same at every later one."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from runtime.stack.layout import write_private
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

LOOPBACK: Final = "127.0.0.1"
PORT_MIN: Final = 20_000
PORT_MAX: Final = 32_000
"""Below the range of outgoing connections (Linux: 32768-60999), so that none takes a port while its broker is down."""
TRIES_MAX: Final = 200
PORT_NAMES: Final = ("kafka", "kafka_controller", "postgres", "redis")
PROCESSES: Final = ("ingress", "consumer", "relay", "dispatcher", "console")
"""Processes that log in to Postgres as a role of their own; the command line is the application's."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a home keeps between starts: a port a listener, and the passwords of Postgres' roles and of Redis.

    `process_passwords` are those of the roles that one process each logs in as. An empty password is one that a home of
    an earlier version does not have yet; `keep` makes it up.
    """

    ports: dict[str, int]
    app_password: str
    owner_password: str
    cluster_id: str
    superuser_password: str = ""
    redis_password: str = ""
    process_passwords: dict[str, str] = field(default_factory=dict)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a closed connection still in TIME_WAIT takes no port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(taken: Collection[int], free: Callable[[int], bool] = is_free) -> int:
    """Return a free port that is not `taken`; raise StackError when none is found in a bounded number of tries."""
    for _ in range(TRIES_MAX):
        port = PORT_MIN + secrets.randbelow(PORT_MAX - PORT_MIN)
        if port not in taken and free(port):
            return port
    raise StackError(f"no free port between {PORT_MIN} and {PORT_MAX} on {LOOPBACK}; stop what listens there")


def read(path: Path) -> Kept | None:
    """Return what the home keeps; None for a new home; StackError for a file that is not ours."""
    try:
        return Kept(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StackError(
            f"{path} cannot be read ({error}); restore it, or remove the whole home to begin anew"
        ) from error


def _password(old: str) -> str:
    return old or secrets.token_urlsafe(24)


def keep(path: Path, free: Callable[[int], bool] = is_free) -> Kept:
    """Return the home's ports and passwords, choosing what is missing and replacing ports that others have taken."""
    old = read(path)
    ports: dict[str, int] = {}
    for name in PORT_NAMES:
        port = old.ports.get(name) if old else None
        reserved = {*ports.values(), *(old.ports.values() if old else ())}
        ports[name] = port if port is not None and free(port) else choose(reserved, free)
    kept = Kept(
        ports=ports,
        app_password=_password(old.app_password if old else ""),
        owner_password=_password(old.owner_password if old else ""),
        superuser_password=_password(old.superuser_password if old else ""),
        redis_password=_password(old.redis_password if old else ""),
        process_passwords={name: _password(old.process_passwords.get(name, "") if old else "") for name in PROCESSES},
        # Kafka wants 16 random bytes in URL-safe base64, and takes no identifier that begins with a dash.
        cluster_id=old.cluster_id if old else "R" + secrets.token_urlsafe(16)[1:],
    )
    if kept != old:
        write_private(path, json.dumps(asdict(kept), indent=2))
    return kept
