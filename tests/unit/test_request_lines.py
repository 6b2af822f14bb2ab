"""The line that a server writes of a request holds its path alone: a query may name people, or hold a code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from ops.console import bearer, visits
from ops.console.sessions import ConsoleSession
from producers.ingress.access_log import AccessLog, line_of
from runtime.settings import ConsoleSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.unit

QUERY = b"code=0a-sign-ins-code&state=its-state&reference=Ada+Lovelace"
HIDDEN = ("sign-ins", "its-state", "Lovelace")
LINES = ("console_request", "admin_request", "request")


async def _nobody(*_: Any, **__: Any) -> None:
    return None


async def _unguarded() -> bool:
    return False


PARTS: Any = SimpleNamespace(
    settings=Settings(console=ConsoleSettings()),
    sessions=SimpleNamespace(
        read=_nobody, needed=_unguarded, begin=lambda: ConsoleSession("s"), cookie=lambda _session: "signed"
    ),
)


def request(path: str) -> Request:
    return Request(
        {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": QUERY,
         "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
         "scheme": "http", "root_path": ""}
    )  # fmt: skip


async def page(_visit: visits.Visit) -> Response:
    return Response()


async def document(_call: bearer.Call) -> Mapping[str, Any]:
    return {}


async def application(scope: Any, _receive: Any, _send: Any) -> None:
    line_of(scope).template = "/payments"


async def ask(server: str) -> None:
    if server == "console":
        await visits.answer(request("/sso/callback"), page, PARTS, None)
    elif server == "programs":
        call = bearer.Call(PARTS, request("/admin/v1/openapi.json"), None, frozenset(), frozenset())
        await bearer._answer(call, document, None)
    else:
        await AccessLog(application, 2)(request("/payments").scope, cast("Any", _nobody), cast("Any", _nobody))


@pytest.mark.parametrize("server", ["console", "programs", "ingress"])
async def test_a_line_holds_no_query(server: str) -> None:
    with capture_logs() as lines:
        await ask(server)
    (line,) = (one for one in lines if one["event"] in LINES)
    assert line["path"] in ("/sso/callback", "/admin/v1/openapi.json", "/payments")
    assert not [hidden for hidden in HIDDEN if hidden in str(lines)]
