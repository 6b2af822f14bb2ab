"""A role's own view of its health, and the small HTTP server that shows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runtime import metrics
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PORT_MAX: Final = 65_535
REQUEST_BYTES_MAX: Final = 8 * 1024
"""A probe's request line and headers; more is no probe."""
REQUEST_TIMEOUT_SECONDS: Final = 5.0
"""How long a probe may take to say what it wants, and to take its answer."""


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` (an IPv6 host in brackets) into its parts; raise SettingsError for anything else."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
        raise SettingsError(f"{address!r} is no address; write host:port, as in 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(slots=True)
class Probe:
    """What a role reports of itself; the role writes it, the probe server and the supervisor read it.

    `state` is one word: starting, running, halted, stopping. `stuck` returns why the role is alive but not getting on,
    or None; `unready` returns why it can't take work now, or None. `facts` are figures shown by `/readyz?verbose`; a
    role with a service of its own puts its address there, as `address`.
    """

    role: str
    state: str = "starting"
    stuck: Callable[[], str | None] = lambda: None
    unready: Callable[[], str | None] = lambda: None
    facts: dict[str, object] = field(default_factory=dict)


Document = dict[str, object] | bytes
"""A JSON document, or the metrics' text as bytes."""
Answer = tuple[HTTPStatus, Document]


def livez(probe: Probe) -> tuple[HTTPStatus, dict[str, object]]:
    """Say whether the process makes progress: 200, or 503 with the reason why it is stuck. Asks no broker."""
    reason = probe.stuck()
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    return status, {"role": probe.role, "state": probe.state, "reason": reason}


def readyz(probe: Probe, *, verbose: bool) -> tuple[HTTPStatus, dict[str, object]]:
    """Tell whether the role takes work now: 200, or 503 with the reason why it does not."""
    reason = probe.stuck() or probe.unready()
    if reason is None and probe.state != "running":
        reason = f"the role is {probe.state}"
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    document: dict[str, object] = {"role": probe.role, "state": probe.state, "reason": reason}
    return status, document | {"facts": dict(probe.facts)} if verbose else document


def metrics_page(probe: Probe) -> bytes:
    """Return the process's metrics in Prometheus's text format, with the probe's present state among them."""
    metrics.ROLE_STUCK.labels(probe.role).set(probe.stuck() is not None)
    metrics.ROLE_READY.labels(probe.role).set(readyz(probe, verbose=False)[0] is HTTPStatus.OK)
    return metrics.page()


def answer(probe: Probe, method: str, target: str) -> Answer:
    """Route one probe request. GET and HEAD of /livez, /readyz[?verbose] and /metrics, 405 and 404 for the rest."""
    path, _, query = target.partition("?")
    if path not in ("/livez", "/readyz", "/metrics"):
        return HTTPStatus.NOT_FOUND, {"reason": "ask /livez, /readyz?verbose or /metrics"}
    if method not in ("GET", "HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED, {"reason": "ask with GET"}
    if path == "/metrics":
        return HTTPStatus.OK, metrics_page(probe)
    return livez(probe) if path == "/livez" else readyz(probe, verbose="verbose" in query)


def _response(status: HTTPStatus, document: Document, *, with_body: bool) -> bytes:
    if isinstance(document, bytes):
        body, content_type = document, metrics.CONTENT_TYPE
    else:
        body, content_type = json.dumps(document, default=str).encode(), "application/json"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")


async def _respond(probe: Probe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request and close; a head that is too long, or not there in time, is closed without an answer."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            method, target = (words[0], words[1]) if len(words) > 1 else ("", "")
            writer.write(_response(*answer(probe, method, target), with_body=method != "HEAD"))
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(probe: Probe, bind: str) -> AsyncIterator[str]:
    """Serve the probe on `host:port` (port 0: a free one) while the context lasts; yield the address it has.

    Raises SettingsError for an address that can't be listened on.
    """
    host, port = split_address(bind)
    try:
        server = await asyncio.start_server(
            lambda reader, writer: _respond(probe, reader, writer), host, port, limit=REQUEST_BYTES_MAX
        )
    except OSError as error:
        raise SettingsError(f"RATCHET_ROLE__PROBE_BIND: {bind} cannot be listened on: {error.strerror}") from error
    try:
        bound = server.sockets[0].getsockname()
        yield join_address(bound[0], bound[1])
    finally:
        server.close()
