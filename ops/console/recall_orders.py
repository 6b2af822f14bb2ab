"""Orders to read a provider's own lists, as people write, follow and stop them; the dispatcher carries them out.

It alone has the providers' keys: whether one is configured shows there, and an order that can't be read fails with the
sentence that says so. What no provider could answer, or another order is about already, is refused at once.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from consumer.dispatcher.lists import without_list
from ops.operators import BECAUSE_LENGTH_MAX, WHO_LENGTH_MAX, Operator, note_action
from ops.payloads import show_text
from runtime.sql import statement
from schemas.errors import RatchetError, SettingsError
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.recall_order import RecallOrder
    from runtime.postgres import Connection

ACCOUNT: Final = re.compile(r"([a-z0-9][a-z0-9_.-]{0,63})?")
NAME_SHOWN_MAX: Final = 64


class RecallStatus(StrEnum):
    """Where an order stands. `stopped` by people, `failed` for what `error` says."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RecallProgress:
    """How far an order is, and what was found until now.

    `new` events were not known, by kind in `kinds`; `history` of them are from before `secret_since`. The lists were
    asked from `asked_since` on. `next_at` is when it is asked again, `error` what went wrong last.
    """

    id: int
    provider: str
    account: str
    since: dt.datetime
    until: dt.datetime
    dry_run: bool
    requested_by: str
    because: str
    requested_at: dt.datetime
    status: RecallStatus
    asked_since: dt.datetime | None
    secret_since: dt.datetime | None
    list: str | None
    pages: int
    known: int
    new: int
    history: int
    kinds: Mapping[str, int]
    first_at: dt.datetime | None
    last_at: dt.datetime | None
    error: str | None
    stopped_by: str | None
    next_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None

    @property
    def source(self) -> str:
        """The endpoint, as events name it."""
        return source_of(self.provider, self.account)

    @property
    def ended(self) -> bool:
        """Tell whether the dispatcher is through with it."""
        return self.ended_at is not None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        plain = {name: one.isoformat() if isinstance(one, dt.datetime) else one for name, one in asdict(self).items()}
        return plain | {"source": self.source, "kinds": dict(sorted(self.kinds.items()))}


def check(order: RecallOrder, now: dt.datetime) -> None:
    """Raise SettingsError for an order that can't be meant. Pure."""
    if not order.provider:
        raise SettingsError("provider: say whose list is asked")
    impossible = without_list(order.provider[:NAME_SHOWN_MAX])
    if impossible is not None:
        raise SettingsError(f"provider: {impossible}")
    if not ACCOUNT.fullmatch(order.account):
        raise SettingsError("account: write it as in /webhooks/provider/account")
    if order.since >= order.until:
        raise SettingsError("since must be before until")
    if order.since >= now:
        raise SettingsError("since: nothing has happened there yet")
    if len(order.because) > BECAUSE_LENGTH_MAX:
        raise SettingsError(f"because: {len(order.because):,} characters are more than {BECAUSE_LENGTH_MAX}")


async def order_recall(connection: Connection, operator: Operator, order: RecallOrder, open_max: int) -> int:
    """Write an order for the dispatcher, and who asked; return its number.

    Raises SettingsError for what can't be meant, RatchetError while one of the provider is open, or `open_max` in all.
    """
    check(order, dt.datetime.now(dt.UTC))
    asked = order.provider, order.account, order.since, order.until, order.dry_run
    async with connection.transaction():
        await _fetch(connection, "lock_recall_orders")
        rows = await _fetch(connection, "order_recall", *asked, operator.who[:WHO_LENGTH_MAX], order.because, open_max)
        if not rows:
            raise RatchetError(await _in_the_way(connection, order.provider, open_max))
        number, span = int(rows[0]["id"]), f"from {order.since.isoformat()} until {order.until.isoformat()}"
        target = f"recall {number}, {order.source} {span}{', dry run' if order.dry_run else ''}"
        await note_action(connection, operator, "recall.start", target, order.because)
    return number


async def _in_the_way(connection: Connection, provider: str, open_max: int) -> str:
    found = await _fetch(connection, "list_recall_orders", None, provider, 1)
    if found:
        return f"recall {found[0]['id']} of {provider} is not over; wait until it is, or stop it"
    return f"{open_max} recalls are not over, and no more may be (RATCHET_RECALL__ORDERS_OPEN_MAX); wait, or stop one"


async def recall_progress(connection: Connection, number: int) -> RecallProgress:
    """Return how far an order is; raise RatchetError where there is no such one."""
    rows = await _fetch(connection, "list_recall_orders", number, None, 1)
    if not rows:
        raise RatchetError(f"there is no recall {number}")
    return _progress_of(rows[0])


async def list_recalls(connection: Connection, limit: int) -> tuple[RecallProgress, ...]:
    """Return the newest orders, the newest first."""
    return tuple(map(_progress_of, await _fetch(connection, "list_recall_orders", None, None, limit)))


async def stop_recall(connection: Connection, operator: Operator, number: int) -> RecallProgress:
    """Have the dispatcher end an order before its next page; one that has ended stays as it is."""
    async with connection.transaction():
        if await _fetch(connection, "stop_recall", number, operator.who[:WHO_LENGTH_MAX]):
            await note_action(connection, operator, "recall.stop", f"recall {number}", "")
    return await recall_progress(connection, number)


def _progress_of(row: Mapping[str, Any]) -> RecallProgress:
    shown = {name: None if row[name] is None else show_text(row[name]) for name in ("because", "error")}
    read = {"status": RecallStatus(row["status"]), "kinds": json.loads(row["kinds"])}
    return RecallProgress(**{**row, **shown, **read})


async def _fetch(connection: Connection, name: str, *arguments: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(statement("ops.console", name), *arguments)]
