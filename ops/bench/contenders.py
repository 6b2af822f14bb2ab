"""Who takes part: the product in its forms, what it is compared with, and the floor under all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_FLIGHT: Final = "RATCHET_CONSUMER__BATCHES_IN_FLIGHT_MAX"
BATCH: Final = "RATCHET_CONSUMER__BATCH_RECORDS_MAX"
SWEPT: Final = (100, 500, 1000, 2000, 5000)
NAIVE: Final = "naive"
PRODUCT: Final = "ratchet"
GROUPED: Final = "ratchet-grouped"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of consuming.

    `kind` names what `ops.bench.contender` runs, in `processes` processes of one group; a `slow` one processes the
    small workload. `environment` are settings other than the defaults, `says` is its line in the table. `ordered` is
    the share of its payments for which an order was placed before.
    """

    name: str
    kind: str
    says: str
    slow: bool = False
    processes: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    ordered: float = 0.0


def ours(name: str, says: str, environment: Mapping[str, str] | None = None, *, processes: int = 1) -> Contender:
    """Return the product with some settings changed."""
    return Contender(name, PRODUCT, says, processes=processes, environment=dict(environment or {}))


STANDARD: Final = (
    Contender(NAIVE, "naive", "aiokafka, one record, one transaction", slow=True),
    Contender("faststream", "faststream", "the same handler on FastStream", slow=True),
    Contender("faststream-workers", "faststream-workers", "FastStream, one worker a partition", slow=True),
    Contender("faststream-batch", "faststream-batch", "FastStream, batches, one transaction an event", slow=True),
    ours(PRODUCT, "as shipped, one process"),
    ours("ratchet-1", "one connection", {IN_FLIGHT: "1"}),
    ours("ratchet-2", "two connections", {IN_FLIGHT: "2"}),
    ours("ratchet-4", "four connections", {IN_FLIGHT: "4"}),
    ours("ratchet-2p", "two processes", processes=2),
    Contender(GROUPED, PRODUCT, "as shipped, half of the payments under an order", ordered=0.5),
    Contender("floor-1", "floor-1", "our SQL alone, one connection"),
    Contender("floor-2", "floor-2", "our SQL alone, two connections"),
)
SWEEP: Final = tuple(ours(f"ratchet-batch-{size}", f"batches of {size}", {BATCH: str(size)}) for size in SWEPT)
FASTSTREAM: Final = tuple(one.name for one in STANDARD if one.name.startswith("faststream"))


def chosen(names: list[str] | None, *, sweep: bool) -> tuple[Contender, ...]:
    """Return those asked for, in the order of the table; naive is always there, for all is shown beside it."""
    known = STANDARD + SWEEP
    if names:
        return tuple(one for one in known if one.name in {NAIVE, *names})
    return known if sweep else STANDARD


def same_as_shipped(contender: Contender, in_flight: int, batch: int) -> bool:
    """Tell whether a contender is the product as shipped under another name: it need not run twice."""
    as_shipped = {IN_FLIGHT: str(in_flight), BATCH: str(batch)}
    changed = {name for name, value in contender.environment.items() if as_shipped.get(name) != value}
    others = contender.name == PRODUCT or contender.processes > 1 or contender.ordered
    return contender.kind == PRODUCT and not others and not changed
