"""Where the roles of `ratchet up` listen: as configured, or on a free port where nobody chose one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from runtime.health import join_address, split_address
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runtime.settings import ConsoleSettings, IngressSettings, Settings

TRIES_MAX: Final = 100
"""Ports after the usual one that are tried before the system chooses any."""


def can_listen(host: str, port: int) -> bool:
    """Tell whether a server could listen there now; a connection that was closed a moment ago takes no port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def any_port(host: str) -> int:
    """Return a port that the system chose."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def fixed(bind: str) -> str:
    """Return an address whose port is decided, so that a role that comes back has the one it had."""
    host, port = split_address(bind)
    return bind if port else join_address(host, any_port(host))


def next_free(host: str, port: int, reserved: Collection[int], free: Callable[[str, int], bool] = can_listen) -> int:
    """Return the first port from `port` on that is free and not reserved, or one that the system chooses."""
    for candidate in range(port, min(port + TRIES_MAX, 65_536)):
        if candidate not in reserved and free(host, candidate):
            return candidate
    return any_port(host)


def choose(settings: Settings, report: Callable[[str], None]) -> dict[str, str]:
    """Return the environment that says where the ingress and the console listen.

    An address that was configured stands: SettingsError where it is taken. Else the usual port, or the next free one,
    which `report` is called with, in a line.
    """
    ingress = _one("ingress", settings.ingress, {split_address(settings.console.bind)[1]}, report)
    console = _one("console", settings.console, {split_address(ingress)[1]}, report)
    return {"RATCHET_INGRESS__BIND": ingress, "RATCHET_CONSOLE__BIND": console}


def _one(
    role: str, settings: IngressSettings | ConsoleSettings, reserved: Collection[int], report: Callable[[str], None]
) -> str:
    host, port = split_address(settings.bind)
    if "bind" in settings.model_fields_set:
        if port and not can_listen(host, port):
            raise SettingsError(
                f"RATCHET_{role.upper()}__BIND: {settings.bind} cannot be listened on; stop what listens there, or "
                "choose another address"
            )
        return fixed(settings.bind)
    found = next_free(host, port, reserved)
    if found != port:
        report(f"port {port} is taken: the {role} listens at {join_address(host, found)}")
    return join_address(host, found)
