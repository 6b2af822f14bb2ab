"""What the ingress refused is read whole from its metrics, and counted once it is committed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import web
from local_http import served
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as Metric

from ops.console import outcomes, refusals
from ops.console.outcomes import OutcomeCounter
from ops.console.refusals import Refusals
from runtime.lifecycle import RunFile, write_run_file
from runtime.settings import Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.unit


class Ingress:
    """The metrics of an ingress, which come in pieces, and its run file."""

    def __init__(self, home: Path) -> None:
        self.home, self.probe = home, ""
        self.pieces: list[bytes] | None = None
        self.status = 200

    def begin(self, pid: int) -> None:
        """Be a process that has counted nothing yet."""
        self.registry = CollectorRegistry()
        self.metric = Metric("ratchet_ingress_refusals", "x", ["provider", "reason"], registry=self.registry)
        write_run_file(self.home, RunFile("ingress", pid, 0.0, self.probe))

    def refuse(self, provider: str, times: int, reason: str = "signature") -> None:
        self.metric.labels(provider, reason).inc(times)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        page = generate_latest(self.registry)
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        for piece in self.pieces or [page[:100], page[100:]]:
            await response.write(piece)
            await asyncio.sleep(0.001)
        return response


@asynccontextmanager
async def beside(home: Path) -> AsyncIterator[Ingress]:
    """Run an ingress' probe beside the console while the context lasts."""
    ingress, application = Ingress(home), web.Application()
    application.router.add_get("/metrics", ingress.answer)
    async with served(application) as url:
        ingress.probe = url.removeprefix("http://")
        ingress.begin(1)
        yield ingress


def settings(home: Path) -> Settings:
    return Settings().model_copy(update={"home": home})


async def test_a_page_that_comes_in_pieces_is_read_to_its_end(tmp_path: Path) -> None:
    async with beside(tmp_path) as ingress:
        read = Refusals(settings(tmp_path))
        assert await read.fresh() == [], "from when on is not known yet"
        for number in range(9):
            ingress.refuse(f"provider{number}", number + 1)
        assert sorted(await read.fresh()) == [(f"provider{number}", "signature", number + 1) for number in range(9)]
        assert await read.fresh() == []


@pytest.mark.parametrize("pieces", [[b"ratchet_ingres"], [b"\xff"]])
async def test_what_is_no_page_of_metrics_is_no_look(tmp_path: Path, pieces: list[bytes]) -> None:
    async with beside(tmp_path) as ingress:
        read = Refusals(settings(tmp_path))
        ingress.refuse("stripe", 2)
        await read.fresh()
        ingress.refuse("stripe", 3)
        ingress.pieces = pieces
        assert await read.fresh() == []
        ingress.pieces, ingress.status = None, 500
        assert await read.fresh() == []
        ingress.status = 200
        assert await read.fresh() == [("stripe", "signature", 3)], "what could not be read is not taken for nothing"


async def test_a_page_past_the_bound_is_no_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with beside(tmp_path) as ingress:
        read = Refusals(settings(tmp_path))
        await read.fresh()
        ingress.refuse("stripe", 3)
        monkeypatch.setattr(refusals, "PAGE_BYTES_MAX", 150)
        assert await read.fresh() == []


async def test_an_ingress_that_is_new_has_counted_from_nothing(tmp_path: Path) -> None:
    async with beside(tmp_path) as ingress:
        read = Refusals(settings(tmp_path))
        ingress.refuse("stripe", 7)
        assert await read.fresh() == [], "it had counted before we looked"
        ingress.begin(2)
        ingress.refuse("stripe", 7)
        assert await read.fresh() == [("stripe", "signature", 7)]


class Postgres:
    """A connection that writes down what is counted; `away` and `held` are what may come between."""

    def __init__(self) -> None:
        self.away = self.held = False
        self.counted: list[tuple[str, str, str, int]] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        before = list(self.counted)
        yield
        if self.away:
            self.counted = before
            raise UnavailableError("away")

    async def fetchrow(self, _: str) -> tuple[int, ...] | None:
        return None if self.held else (0, 0, 0, 0, 0)

    async def fetch(self, *_: Any) -> list[Any]:
        return []

    async def execute(self, _: str, *columns: Sequence[Any]) -> None:
        if columns:
            self.counted += [tuple(row[1:]) for row in zip(*columns, strict=True)]


async def test_what_was_refused_waits_until_it_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres = Postgres()

    async def on_postgres(_settings: Any, _pool: Any, work: Any) -> Any:
        return await work(postgres)

    async def nothing(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(outcomes, "run_on", on_postgres)
    async with beside(tmp_path) as ingress:
        counter = OutcomeCounter(settings(tmp_path), cast("Any", SimpleNamespace(fetch=nothing)))
        await counter.read()
        ingress.refuse("stripe", 3)
        postgres.away = True
        with pytest.raises(UnavailableError):
            await counter.read()
        ingress.refuse("stripe", 4)
        postgres.away, postgres.held = False, True
        await counter.read()
        assert postgres.counted == [], "another console has the cursor"
        postgres.held = False
        await counter.read()
        assert postgres.counted == [("stripe", "refused", "signature", 7)]
        await counter.read()
        assert len(postgres.counted) == 1, "once"
