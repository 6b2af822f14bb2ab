"""The board: figures of the newest look and of the looks kept before it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ops.console import headline
from ops.console.chart import chart
from ops.console.outcomes import SPANS
from ops.console.sparkline import curve
from ops.console.visits import page

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.board_poller import BoardLook, BoardPoller
    from ops.console.parts import Parts
    from ops.console.sparkline import Curve
    from ops.console.visits import Visit


def routes(parts: Parts) -> list[Route]:
    """Return the board's routes."""
    return [page("/", show, parts), page("/board/live", live, parts)]


async def show(visit: Visit) -> Response:
    """Show the board."""
    return visit.render("board.html", **context(visit))


async def live(visit: Visit) -> Response:
    """Return the part that the browser reloads, and the headline where its worries are not those of `seen`."""
    shown = context(visit)
    return visit.render("board_live.html", **(shown | {"tell": visit.query("seen") != shown["seen"]}))


def context(visit: Visit) -> dict[str, Any]:
    """Return the template's values, and keep the poller looking while somebody watches."""
    poller = visit.parts.poller
    poller.watched()
    look = poller.newest
    worries = [] if look is None else headline.worries(look)
    span = next((one for one in SPANS if one.name == visit.query("span")), SPANS[0])
    counted = look.outcomes if look else None
    return {
        "look": look,
        "worries": worries,
        "seen": hashlib.sha256(repr([one.key for one in worries]).encode()).hexdigest()[:12],
        "spans": SPANS,
        "span": span,
        "mix": list(counted.totals(span.name).items()) if counted else [],
        "chart": chart(counted.spans.get(span.name, {}), span, look.at) if counted and look else None,
        "curves": curves(poller),
        "console": visit.parts.settings.console,
        "tell": False,
    }


def curves(poller: BoardPoller) -> dict[str, Curve]:
    """Return each figure's curve over the kept looks; a look that lacks the figure leaves a gap."""
    figures: dict[str, Callable[[BoardLook], float | None]] = {
        "rate": lambda look: look.rate,
        "lag": lambda look: None if look.lag is None else float(sum(look.lag.values())),
        "oldest": lambda look: look.oldest_seconds,
        "outbox": lambda look: None if look.queues is None else float(look.queues.outbox),
        "spool": lambda look: None if look.queues is None else float(look.queues.spool),
        "parked": lambda look: None if look.queues is None else float(look.queues.parked),
        "letters": lambda look: None if look.letters is None else float(sum(look.letters.values())),
    }
    looks = list(poller.history)
    seconds = poller.settings.console.history_seconds

    def drawn(figure: Callable[[BoardLook], float | None]) -> Curve:
        return curve([((looks[-1].at - look.at).total_seconds(), figure(look)) for look in looks], seconds)

    return {name: drawn(figure) for name, figure in figures.items()}
