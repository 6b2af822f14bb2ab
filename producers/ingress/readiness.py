"""Is the door open: Kafka or the spool can take records, and the role is not stopping."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from producers.ingress.answers import Answer, of_json, of_problem, send_answer
from producers.ingress.lines import line_of
from runtime import metrics
from schemas import problems
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from runtime.health import Probe


class Checked(Protocol):
    """Something that can be asked whether it is reachable."""

    async def check(self) -> None:
        """Return if it is, raise UnavailableError if not."""
        ...


class Readiness:
    """Asks every store again and again, so that a probe gets its answer at once, also while a broker hangs."""

    def __init__(self, stores: Mapping[str, Checked], probe: Probe, interval_seconds: float) -> None:
        self._stores = stores
        self._probe = probe
        self._interval_seconds = interval_seconds
        self._failures: dict[str, str | None] = dict.fromkeys(stores, "not asked yet")

    def unready(self) -> str | None:
        """Return why the door takes no webhooks, or None: one store that answers is enough."""
        if self._probe.state != "running":
            return f"the role is {self._probe.state}"
        if None in self._failures.values():
            return None
        return "; ".join(f"{name}: {failure}" for name, failure in self._failures.items())

    def report(self) -> dict[str, object]:
        """Return the state of the role and of every store."""
        checks = {name: {"ok": failure is None, "error": failure} for name, failure in self._failures.items()}
        return {"ready": self.unready() is None, "state": self._probe.state, "checks": checks}

    async def refresh(self) -> None:
        """Ask every store once, all at the same time."""
        await asyncio.gather(*(self._ask(name, store) for name, store in self._stores.items()))

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._interval_seconds)

    async def _ask(self, name: str, store: Checked) -> None:
        try:
            await store.check()
        except UnavailableError as error:
            self._failures[name] = str(error)
        else:
            self._failures[name] = None


class MetricsPage:
    """`GET /metrics`: the door's figures in Prometheus's text format."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        line_of(scope).template = "/metrics"
        if scope["method"] in ("GET", "HEAD"):
            answer = Answer(200, metrics.page(), metrics.CONTENT_TYPE)
        else:
            answer = of_problem(problems.METHOD_NOT_ALLOWED, (b"allow", b"GET, HEAD"))
        await send_answer(send, answer)


class HealthPage:
    """`GET /livez`: the process answers. `GET /readyz[?verbose]`: the door takes webhooks."""

    def __init__(self, template: str, readiness: Readiness | None = None) -> None:
        self._template = template
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        line_of(scope).template = self._template
        await send_answer(send, self._answer(scope))

    def _answer(self, scope: Scope) -> Answer:
        if scope["method"] not in ("GET", "HEAD"):
            return of_problem(problems.METHOD_NOT_ALLOWED, (b"allow", b"GET, HEAD"))
        if self._readiness is None:
            return of_json(200, {"live": True})
        report = self._readiness.report()
        verbose = b"verbose" in scope["query_string"]
        return of_json(200 if report["ready"] else 503, report if verbose else {"ready": report["ready"]})
