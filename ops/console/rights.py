"""The least role of each route, in two tables: of pages, and of `/admin/v1`. A route in neither can't be made; pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ops.people import PersonRole

if TYPE_CHECKING:
    from collections.abc import Mapping

ANYBODY: Final = None
LEAST: Final[Mapping[tuple[str, str], PersonRole | None]] = MappingProxyType({
    ("GET", "/login"): ANYBODY,
    ("POST", "/login"): ANYBODY,
    ("GET", "/sso/login"): ANYBODY,
    ("GET", "/sso/callback"): ANYBODY,
    ("GET", "/"): PersonRole.VIEWER,
    ("GET", "/board/live"): PersonRole.VIEWER,
    ("GET", "/payments"): PersonRole.VIEWER,
    ("GET", "/payments.csv"): PersonRole.VIEWER,
    ("GET", "/payments.json"): PersonRole.VIEWER,
    ("GET", "/payments/{ref}"): PersonRole.VIEWER,
    ("GET", "/dead-letters"): PersonRole.VIEWER,
    ("GET", "/dead-letters.csv"): PersonRole.VIEWER,
    ("GET", "/dead-letters.json"): PersonRole.VIEWER,
    ("GET", "/dead-letters/{id}"): PersonRole.VIEWER,
    ("POST", "/dead-letters/{id}/discard"): PersonRole.OPERATOR,
    ("POST", "/dead-letters/{id}/unmask"): PersonRole.ADMIN,
    ("POST", "/dead-letters/{id}/redact"): PersonRole.ADMIN,
    ("GET", "/redrives"): PersonRole.VIEWER,
    ("POST", "/redrives"): PersonRole.OPERATOR,
    ("GET", "/redrives/new"): PersonRole.OPERATOR,
    ("GET", "/redrives/{id}"): PersonRole.VIEWER,
    ("GET", "/redrives/{id}/live"): PersonRole.VIEWER,
    ("POST", "/redrives/{id}/stop"): PersonRole.OPERATOR,
    ("POST", "/redrives/{id}/resume"): PersonRole.OPERATOR,
    ("GET", "/notes"): PersonRole.VIEWER,
    ("POST", "/notes"): PersonRole.OPERATOR,
    ("POST", "/notes/{id}/end"): PersonRole.OPERATOR,
    ("GET", "/parked"): PersonRole.VIEWER,
    ("GET", "/commands"): PersonRole.VIEWER,
    ("GET", "/recall"): PersonRole.VIEWER,
    ("POST", "/recall"): PersonRole.OPERATOR,
    ("GET", "/recall/{id}"): PersonRole.VIEWER,
    ("GET", "/recall/{id}/live"): PersonRole.VIEWER,
    ("POST", "/recall/{id}/stop"): PersonRole.OPERATOR,
    ("GET", "/ledger"): PersonRole.VIEWER,
    ("GET", "/ledger/live"): PersonRole.VIEWER,
    ("POST", "/ledger/check"): PersonRole.OPERATOR,
    ("GET", "/actions"): PersonRole.VIEWER,
    ("GET", "/actions.csv"): PersonRole.VIEWER,
    ("GET", "/actions.json"): PersonRole.VIEWER,
    ("GET", "/people"): PersonRole.ADMIN,
    ("POST", "/people/{name}/remove"): PersonRole.ADMIN,
    ("GET", "/password"): PersonRole.VIEWER,
    ("POST", "/password"): PersonRole.VIEWER,
    ("POST", "/logout"): PersonRole.VIEWER,
    ("POST", "/logout/everywhere"): PersonRole.ADMIN,
})  # fmt: skip
"""Method and path of every route, and the least role that may ask for it."""
ADMIN: Final[Mapping[tuple[str, str], PersonRole | None]] = MappingProxyType({
    ("GET", "/admin/v1/openapi.json"): ANYBODY,
    ("GET", "/admin/v1/status"): PersonRole.VIEWER,
    ("GET", "/admin/v1/payments"): PersonRole.VIEWER,
    ("GET", "/admin/v1/payments/{ref}"): PersonRole.VIEWER,
    ("GET", "/admin/v1/dead-letters"): PersonRole.VIEWER,
    ("GET", "/admin/v1/dead-letters/{id}"): PersonRole.VIEWER,
    ("POST", "/admin/v1/dead-letters/discard"): PersonRole.OPERATOR,
    ("POST", "/admin/v1/dead-letters/{id}/discard"): PersonRole.OPERATOR,
    ("POST", "/admin/v1/dead-letters/{id}/unmask"): PersonRole.ADMIN,
    ("POST", "/admin/v1/dead-letters/{id}/redact"): PersonRole.ADMIN,
    ("GET", "/admin/v1/redrives"): PersonRole.VIEWER,
    ("POST", "/admin/v1/redrives"): PersonRole.OPERATOR,
    ("POST", "/admin/v1/redrives/preview"): PersonRole.OPERATOR,
    ("GET", "/admin/v1/redrives/{id}"): PersonRole.VIEWER,
    ("POST", "/admin/v1/redrives/{id}/stop"): PersonRole.OPERATOR,
    ("POST", "/admin/v1/redrives/{id}/resume"): PersonRole.OPERATOR,
    ("GET", "/admin/v1/notes"): PersonRole.VIEWER,
    ("POST", "/admin/v1/notes"): PersonRole.OPERATOR,
    ("POST", "/admin/v1/notes/{id}/end"): PersonRole.OPERATOR,
    ("GET", "/admin/v1/recalls"): PersonRole.VIEWER,
    ("POST", "/admin/v1/recalls"): PersonRole.OPERATOR,
    ("GET", "/admin/v1/recalls/{id}"): PersonRole.VIEWER,
    ("POST", "/admin/v1/recalls/{id}/stop"): PersonRole.OPERATOR,
    ("GET", "/admin/v1/actions"): PersonRole.VIEWER,
    ("GET", "/admin/v1/operators"): PersonRole.ADMIN,
    ("POST", "/admin/v1/operators/{name}/remove"): PersonRole.ADMIN,
    ("GET", "/admin/v1/tokens"): PersonRole.ADMIN,
    ("POST", "/admin/v1/tokens/{id}/revoke"): PersonRole.ADMIN,
})  # fmt: skip
"""The same of the interface for programs, which a person's token opens."""
OWN_ACCOUNT: Final = ("/password", "/logout")
"""What somebody may ask for who has not chosen a password yet."""


def least(method: str, path: str) -> PersonRole | None:
    """Return the least role of a route; raises LookupError for one that the table does not name."""
    table = ADMIN if path.startswith("/admin/") else LEAST
    try:
        return table[method, path]
    except KeyError:
        raise LookupError(f"{method} {path} stands in no table of ops.console.rights: say who may ask for it") from None
