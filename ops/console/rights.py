"""What each route asks for at least: one table, which a route that it does not name can't do without; pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ops.people import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

ANYBODY: Final = None
LEAST: Final[Mapping[tuple[str, str], Role | None]] = MappingProxyType({
    ("GET", "/login"): ANYBODY,
    ("POST", "/login"): ANYBODY,
    ("GET", "/"): Role.VIEWER,
    ("GET", "/board/live"): Role.VIEWER,
    ("GET", "/payments"): Role.VIEWER,
    ("GET", "/payments.csv"): Role.VIEWER,
    ("GET", "/payments.json"): Role.VIEWER,
    ("GET", "/payments/{ref}"): Role.VIEWER,
    ("GET", "/dead-letters"): Role.VIEWER,
    ("GET", "/dead-letters.csv"): Role.VIEWER,
    ("GET", "/dead-letters.json"): Role.VIEWER,
    ("GET", "/dead-letters/{id}"): Role.VIEWER,
    ("POST", "/dead-letters/{id}/discard"): Role.OPERATOR,
    ("POST", "/dead-letters/{id}/unmask"): Role.ADMIN,
    ("POST", "/dead-letters/{id}/redact"): Role.ADMIN,
    ("GET", "/redrives"): Role.VIEWER,
    ("POST", "/redrives"): Role.OPERATOR,
    ("GET", "/redrives/new"): Role.OPERATOR,
    ("GET", "/redrives/{id}"): Role.VIEWER,
    ("GET", "/redrives/{id}/live"): Role.VIEWER,
    ("POST", "/redrives/{id}/stop"): Role.OPERATOR,
    ("POST", "/redrives/{id}/resume"): Role.OPERATOR,
    ("GET", "/parked"): Role.VIEWER,
    ("GET", "/commands"): Role.VIEWER,
    ("GET", "/recall"): Role.VIEWER,
    ("GET", "/books"): Role.VIEWER,
    ("GET", "/books/live"): Role.VIEWER,
    ("POST", "/books/check"): Role.OPERATOR,
    ("GET", "/actions"): Role.VIEWER,
    ("GET", "/people"): Role.ADMIN,
    ("POST", "/people/{name}/remove"): Role.ADMIN,
    ("GET", "/password"): Role.VIEWER,
    ("POST", "/password"): Role.VIEWER,
    ("POST", "/logout"): Role.VIEWER,
    ("POST", "/logout/everywhere"): Role.ADMIN,
})  # fmt: skip
"""Method and path of every route, and the least role that may ask for it."""
OWN_ACCOUNT: Final = ("/password", "/logout")
"""What somebody may ask for who has not chosen a password yet."""


def least(method: str, path: str) -> Role | None:
    """Return the least role of a route; raises LookupError for one that the table does not name."""
    try:
        return LEAST[method, path]
    except KeyError:
        raise LookupError(f"{method} {path} stands not in ops.console.rights.LEAST: say who may ask for it") from None
