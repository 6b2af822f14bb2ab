"""What retention may take: what it can prove, by anchors that are its own, and nothing where anything is in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from paper_ledger import DAY, NOON, PaperLeases, PaperLedger, use_paper

from consumer.facts_json import dump_reported
from consumer.fold import newer
from ops import retention
from ops.retention import DAYS_MIN, Anchor, Signing, anchors_of, is_waiting, remove_old
from ops.seal import SealError, anchor_mac, anchor_without_payment_mac
from schemas import topics
from schemas.errors import RatchetError
from schemas.facts import Fact, FactKind

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

KEY = b"a key that nobody who owns the schema has"
ONE = UUID(int=1)
LATER = NOON + (DAYS_MIN + 1) * DAY


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a ledger of which retention with the key has taken the first row of a payment and one of no payment."""
    use_paper(monkeypatch)
    monkeypatch.setattr(retention, "ROWS_A_STEP", 3)
    made: Any = PaperLedger()
    for relay_xid in (10, 11, 12):
        made.add(1, relay_xid, at=NOON - 9 * DAY if relay_xid == 10 else NOON)
        made.add(None, relay_xid, at=NOON - 9 * DAY if relay_xid == 10 else NOON)
    return made


async def begun(ledger: Any, signing: Signing = Signing(KEY)) -> None:  # noqa: B008
    assert await remove_old(ledger, DAYS_MIN, LATER - 9 * DAY, signing) == 2


def test_rows_are_kept_for_longer_than_anything_reaches_back() -> None:
    """The ledger is the dedupe key: what a topic still holds, or a letter, may come again."""
    kept_ms = DAYS_MIN * topics.DAY_MS
    assert kept_ms == 4 * topics.RETENTION_MS
    assert kept_ms > max(topic.retention_ms for topic in topics.ALL)


async def test_the_next_retention_goes_on_from_the_anchors_of_the_one_before(ledger: Any) -> None:
    await begun(ledger)
    assert (ledger.anchors[ONE]["rows_removed"], ledger.alone["rows_removed"]) == (1, 1)
    assert await remove_old(ledger, DAYS_MIN, LATER, Signing(KEY)) == 4
    anchor = ledger.anchors[ONE]
    assert (anchor["rows_removed"], anchor["version"], anchor["ledger_id"], anchor["relay_xid"]) == (3, 3, 5, 12)
    assert anchor["hash"] == ledger.payments[ONE]["head_hash"]
    assert anchor["mac"] == anchor_mac(KEY, {"payment_id": ONE} | anchor)
    assert ledger.alone == {"ledger_id": 6, "rows_removed": 3, "mac": anchor_without_payment_mac(KEY, 6, 3)}
    assert PaperLeases.done == ["acquired", "renewed", "renewed", "released"]


FORGED: dict[str, Callable[[Any], object]] = {
    "of a payment": lambda ledger: ledger.anchors[ONE].update(rows_removed=9),
    "of a payment, by another key": lambda ledger: ledger.anchors[ONE].update(mac=b"x" * 32),
    "of no payment": lambda ledger: ledger.alone.update(rows_removed=9),
    "of no payment, further on": lambda ledger: ledger.alone.update(ledger_id=9),
}


@pytest.mark.parametrize("whose", FORGED)
@pytest.mark.parametrize("adopt", [False, True])
async def test_an_anchor_that_was_changed_is_not_signed_anew(ledger: Any, whose: str, adopt: bool) -> None:  # noqa: FBT001
    """Else whoever removes rows by hand has the next retention cover it, `--adopt-unsigned` or not."""
    await begun(ledger)
    FORGED[whose](ledger)
    with pytest.raises(SealError, match="is not what retention signed, or by another key"):
        await remove_old(ledger, DAYS_MIN, LATER, Signing(KEY, adopt_unsigned=adopt))
    assert ledger.ids() == [3, 4, 5, 6]
    assert PaperLeases.done == ["acquired", "released"], "another retention can begin at once"


async def test_an_unsigned_anchor_is_taken_over_where_people_say_so_and_a_signed_one_not_without_the_key(
    ledger: Any,
) -> None:
    await begun(ledger, Signing())
    with pytest.raises(SealError, match="--adopt-unsigned"):
        await remove_old(ledger, DAYS_MIN, LATER, Signing(KEY))
    assert ledger.ids() == [3, 4, 5, 6]
    assert await remove_old(ledger, DAYS_MIN, LATER, Signing(KEY, adopt_unsigned=True)) == 4
    ledger.add(1, 20)
    with pytest.raises(SealError, match="set RATCHET_AUDIT__SEAL_KEY"):
        await remove_old(ledger, DAYS_MIN, LATER, Signing())
    assert ledger.ids() == [7]


@pytest.mark.parametrize("ledger_id", [3, 4])
async def test_a_row_that_is_not_what_was_written_stays_with_its_whole_step(ledger: Any, ledger_id: int) -> None:
    await begun(ledger)
    ledger.row(ledger_id)["event_type"] = "other"
    with pytest.raises(RatchetError, match=f"ledger row {ledger_id} .*is not what was written"):
        await remove_old(ledger, DAYS_MIN, LATER, Signing(KEY))
    assert ledger.ids() == [3, 4, 5, 6]


async def test_nothing_goes_where_an_anchor_does_not_move(ledger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_move_anchors", lambda *_: [{"figure": 0}])
    with pytest.raises(RatchetError, match="would move back"):
        await remove_old(ledger, DAYS_MIN, LATER, Signing(KEY))
    assert ledger.ids() == [1, 2, 3, 4, 5, 6]


async def test_chains_are_locked_before_their_anchors_are_read_and_their_rows_go(ledger: Any) -> None:
    """What a batch adds meanwhile would follow a row that is gone."""
    await remove_old(ledger, DAYS_MIN, LATER, Signing(KEY))
    step = [name for name in ledger.asked if name != "list_old_rows"][: ledger.asked.index("remove_rows")]
    assert (
        step.index("lock_chains") < step.index("read_anchors") < step.index("move_anchors") < step.index("remove_rows")
    )


@pytest.mark.parametrize(("age_days", "waits"), [(DAYS_MIN - 1, False), (DAYS_MIN, False), (DAYS_MIN + 1, True)])
async def test_a_row_waits_for_its_archive_once_it_is_old(ledger: Any, age_days: int, waits: bool) -> None:  # noqa: FBT001
    ledger.take_out(1, 2)
    assert await is_waiting(ledger, DAYS_MIN, NOON + age_days * DAY) is waits
    ledger.take_out(3, 4, 5, 6)
    assert not await is_waiting(ledger, DAYS_MIN, NOON + age_days * DAY)


def test_an_anchor_keeps_what_every_row_that_went_had_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the audit finds facts that no row reported, or none that was, once the rows are gone."""
    facts = [Fact(FactKind.CAPTURE, key, "succeeded", amount) for key, amount in (("c", 5), ("d", 7), ("e", 9))]
    monkeypatch.setattr(retention, "is_as_written", lambda *_: True)
    before = {ONE: Anchor(ONE, reported=newer({}, facts[:1]))}
    columns = {"payment_id": ONE, "hash": b"h", "version": 1, "relay_xid": 5}
    rows = [columns | {"id": number, "facts": dump_reported([fact])} for number, fact in enumerate(facts[1:])]
    (anchor,) = anchors_of(rows, before)
    assert anchor.reported == newer({}, facts)
