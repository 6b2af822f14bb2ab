"""The state file: what another process may know of a running stack."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from runtime.stack.identity import Identity
from runtime.stack.layout import write_private

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the brokers answer. The DSNs and the URL hold passwords: never log them.

    `dsn` is of the application's role `ratchet`, `owner_dsn` of the schema's owner `ratchet_owner`, `process_dsns` of
    the role that each process has of its own, all in the database `ratchet`; `superuser_dsn` is of `postgres` in the
    database `postgres`. `redis` is None where no package has a server for this machine.
    """

    kafka: str
    dsn: str
    owner_dsn: str
    superuser_dsn: str
    redis: str | None
    process_dsns: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the settings that make a role use these brokers."""
        found = {
            "RATCHET_KAFKA__BOOTSTRAP": self.kafka,
            "RATCHET_POSTGRES__DSN": self.dsn,
            "RATCHET_POSTGRES__OWNER_DSN": self.owner_dsn,
        }
        return found if self.redis is None else found | {"RATCHET_REDIS__URL": self.redis}


@dataclass(frozen=True, slots=True)
class StackState:
    """One running stack: its starter, each broker's server process, those that have served, and the endpoints.

    A broker that is being brought back is not `ready` again until it answers.
    """

    owner: Identity
    endpoints: Endpoints
    servers: dict[str, Identity] = field(default_factory=dict)
    ready: frozenset[str] = frozenset()


def write(path: Path, state: StackState) -> None:
    """Replace the state file."""
    write_private(path, json.dumps({**asdict(state), "ready": sorted(state.ready)}, indent=2))


def read(path: Path) -> StackState | None:
    """Return the state that was written last, even of a dead owner; None if there is none or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return StackState(
            owner=Identity(**found["owner"]),
            endpoints=Endpoints(**found["endpoints"]),
            servers={name: Identity(**identity) for name, identity in found["servers"].items()},
            ready=frozenset(found["ready"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
