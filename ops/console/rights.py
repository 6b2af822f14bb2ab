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
    ("GET", "/sso/login"): ANYBODY,
    ("GET", "/sso/callback"): ANYBODY,
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
    ("GET", "/notes"): Role.VIEWER,
    ("POST", "/notes"): Role.OPERATOR,
    ("POST", "/notes/{id}/end"): Role.OPERATOR,
    ("GET", "/parked"): Role.VIEWER,
    ("GET", "/commands"): Role.VIEWER,
    ("GET", "/recall"): Role.VIEWER,
    ("POST", "/recall"): Role.OPERATOR,
    ("GET", "/recall/{id}"): Role.VIEWER,
    ("GET", "/recall/{id}/live"): Role.VIEWER,
    ("POST", "/recall/{id}/stop"): Role.OPERATOR,
    ("GET", "/ledger"): Role.VIEWER,
    ("GET", "/ledger/live"): Role.VIEWER,
    ("POST", "/ledger/check"): Role.OPERATOR,
    ("GET", "/actions"): Role.VIEWER,
    ("GET", "/actions.csv"): Role.VIEWER,
    ("GET", "/actions.json"): Role.VIEWER,
    ("GET", "/people"): Role.ADMIN,
    ("POST", "/people/{name}/remove"): Role.ADMIN,
    ("GET", "/password"): Role.VIEWER,
    ("POST", "/password"): Role.VIEWER,
    ("POST", "/logout"): Role.VIEWER,
    ("POST", "/logout/everywhere"): Role.ADMIN,
})  # fmt: skip
"""Method and path of every route, and the least role that may ask for it."""
ADMIN: Final[Mapping[tuple[str, str], Role | None]] = MappingProxyType({
    ("GET", "/admin/v1/openapi.json"): ANYBODY,
    ("GET", "/admin/v1/status"): Role.VIEWER,
    ("GET", "/admin/v1/payments"): Role.VIEWER,
    ("GET", "/admin/v1/payments/{ref}"): Role.VIEWER,
    ("GET", "/admin/v1/dead-letters"): Role.VIEWER,
    ("GET", "/admin/v1/dead-letters/{id}"): Role.VIEWER,
    ("POST", "/admin/v1/dead-letters/discard"): Role.OPERATOR,
    ("POST", "/admin/v1/dead-letters/{id}/discard"): Role.OPERATOR,
    ("POST", "/admin/v1/dead-letters/{id}/unmask"): Role.ADMIN,
    ("POST", "/admin/v1/dead-letters/{id}/redact"): Role.ADMIN,
    ("GET", "/admin/v1/redrives"): Role.VIEWER,
    ("POST", "/admin/v1/redrives"): Role.OPERATOR,
    ("POST", "/admin/v1/redrives/preview"): Role.OPERATOR,
    ("GET", "/admin/v1/redrives/{id}"): Role.VIEWER,
    ("POST", "/admin/v1/redrives/{id}/stop"): Role.OPERATOR,
    ("POST", "/admin/v1/redrives/{id}/resume"): Role.OPERATOR,
    ("GET", "/admin/v1/notes"): Role.VIEWER,
    ("POST", "/admin/v1/notes"): Role.OPERATOR,
    ("POST", "/admin/v1/notes/{id}/end"): Role.OPERATOR,
    ("GET", "/admin/v1/recalls"): Role.VIEWER,
    ("POST", "/admin/v1/recalls"): Role.OPERATOR,
    ("GET", "/admin/v1/recalls/{id}"): Role.VIEWER,
    ("POST", "/admin/v1/recalls/{id}/stop"): Role.OPERATOR,
    ("GET", "/admin/v1/actions"): Role.VIEWER,
    ("GET", "/admin/v1/operators"): Role.ADMIN,
    ("POST", "/admin/v1/operators/{name}/remove"): Role.ADMIN,
    ("GET", "/admin/v1/tokens"): Role.ADMIN,
    ("POST", "/admin/v1/tokens/{id}/revoke"): Role.ADMIN,
})  # fmt: skip
"""The same of the interface for programs, which a person's token opens."""
OWN_ACCOUNT: Final = ("/password", "/logout")
"""What somebody may ask for who has not chosen a password yet."""


def least(method: str, path: str) -> Role | None:
    """Return the least role of a route; raises LookupError for one that the table does not name."""
    table = ADMIN if path.startswith("/admin/") else LEAST
    try:
        return table[method, path]
    except KeyError:
        raise LookupError(f"{method} {path} stands in no table of ops.console.rights: say who may ask for it") from None
