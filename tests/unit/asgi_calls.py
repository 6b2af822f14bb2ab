"""Requests to an ASGI application in this process: each await of it gives the loop a turn, as a real one does."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from producers.ingress.access_log import SCOPE_KEY, AccessLine


class Reply(NamedTuple):
    """An answer, with the line that is logged of it."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    line: AccessLine


async def ask(
    app: Any, path: str, *parts: bytes, method: str = "POST", peer: str = "192.0.2.1", hangs: bool = False, **more: str
) -> Reply:
    """Send a request; the last part ends its body, unless it hangs."""
    line = AccessLine(method=method)
    target, _, query = path.partition("?")
    fields = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in more.items()]
    scope = {
        "type": "http",
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "method": method,
        "headers": fields,
        "client": (peer, 50000),
        SCOPE_KEY: line,
    }
    left, sent = list(parts or (b"",)), []

    async def receive() -> Any:
        await asyncio.sleep(0)
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or hangs}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    await app(scope, receive, send)
    begin, end = sent
    return Reply(begin["status"], dict(begin["headers"]), end["body"], line)
