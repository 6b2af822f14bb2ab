"""Is the ingress open: Kafka or the spool can take records, and the role is not stopping."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from producers.ingress.access_log import line_of
from producers.ingress.answers import Answer, of_json, of_problem, send_answer
from schemas import problems
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from producers.ingress.clock_check import ClockCheck
    from runtime.health import Probe


class Checked(Protocol):
    """Something that can be asked whether it is reachable."""

    async def check(self) -> None:
        """Return if it is, raise UnavailableError if not."""
        ...


class Readiness:
    """Asks every store again and again, so that a probe gets its answer at once, also while a broker hangs."""

    def __init__(
        self, stores: Mapping[str, Checked], clocks: ClockCheck, probe: Probe, interval_seconds: float
    ) -> None:
        self._stores = stores
        self._clocks = clocks
        self._probe = probe
        self._interval_seconds = interval_seconds
        self._failures: dict[str, str | None] = dict.fromkeys(stores, "not asked yet")

    def unready(self) -> str | None:
        """Return why the ingress takes no webhooks, or None: one store that answers is enough."""
        if self._probe.state != "running":
            return f"the role is {self._probe.state}"
        if (wrong := self._clocks.unready()) is not None:
            return wrong
        if None in self._failures.values():
            return None
        return "; ".join(f"{name}: {failure}" for name, failure in self._failures.items())

    async def refresh(self) -> None:
        """Ask every store once, all at the same time; the probe's `/readyz?verbose` shows what each answered."""
        await asyncio.gather(*(self._ask(name, store) for name, store in self._stores.items()))
        self._probe.facts["stores"] = {name: failure or "ok" for name, failure in self._failures.items()}
        self._probe.facts["postgres_clock_ahead_seconds"] = self._clocks.ahead or 0

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
        except Exception as error:
            self._failures[name] = f"the check failed with {type(error).__name__}"  # or the answer before would stand
            raise
        else:
            self._failures[name] = None


class HealthPage:
    """`GET /livez`: the process answers. `GET /readyz`: the ingress takes webhooks.

    Details and metrics stand on the probe port alone (`runtime.health`): this one faces the Internet.
    """

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
        ready = self._readiness.unready() is None
        return of_json(200 if ready else 503, {"ready": ready})
