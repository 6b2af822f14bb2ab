"""What the commands of `ratchet audit` hand on: keys, seals, the archive, who it was; on a ledger in memory."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from paper_ledger import DAY, PaperLedger, use_paper
from pydantic import SecretStr
from typer.testing import CliRunner

from ops import archive_commands, archive_parquet, audit_commands, endpoints, server
from ops.archive import Archive
from ops.audit_actions import SEALED
from ops.cli import app
from ops.operators import ActionPage, Operator
from ops.retention import DAYS_MIN
from ops.seal import SealError, anchor_mac
from runtime.settings import AuditSettings, PostgresSettings, Settings
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.unit

SECRET = "a key that nobody who owns the schema has"
KEY = SECRET.encode()
ADA = Operator("ada")
OLD = dt.datetime.now(dt.UTC) - 500 * DAY


class Given:
    """A ledger whose rows are all old, a folder, and what each session was opened as."""

    def __init__(self, folder: Path) -> None:
        self.ledger: Any = PaperLedger()
        self.folder = folder
        self.archive = folder / "archive"
        self.archive.mkdir()
        self.opened: list[Settings] = []
        for relay_xid in (10, 11, 12):
            for payment in (1, 2, None):
                self.ledger.add(payment, relay_xid, at=OLD)

    def settings(self, *, archive: bool = False, key: bool = True) -> Settings:
        secret = SecretStr(SECRET) if key else None
        postgres = PostgresSettings(dsn=SecretStr("postgresql://app@h/d"), owner_dsn=SecretStr("postgresql://o@h/d"))
        audit = AuditSettings(seal_key=secret, archive=self.archive if archive else None)
        return Settings(postgres=postgres, audit=audit)

    @asynccontextmanager
    async def connected(self, settings: Settings, **_: Any) -> AsyncIterator[Any]:
        self.opened.append(settings)
        yield self.ledger

    async def seal(self, name: str = "a.seal") -> Path:
        found, _ = await audit_commands._seal_into(self.settings(), self.folder / name, None)
        assert found.broken == []
        return self.folder / name

    async def archived(self, days: int = 400) -> int:
        seal = (await self.seal(f"{days}.seal"), None)
        return (await archive_commands._archive(self.settings(), self.archive, days, seal, ADA)).rows

    async def retain(self, *, archive: bool = False, key: bool = True, adopt: bool = False) -> tuple[Any, bool]:
        settings = self.settings(archive=archive, key=key)
        return await audit_commands._retain(settings, 400, ADA, adopt_unsigned=adopt)

    async def whys(self, seal: Path | None = None, archive: Path | None = None, *, key: bool = True) -> list[Any]:
        verified = await audit_commands._verify(self.settings(key=key), seal, None, archive)
        assert verified.found.ok is (not verified.found.broken)
        return [(one.id, one.why) for one in verified.found.broken]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    use_paper(monkeypatch)
    made = Given(tmp_path)

    async def clean(*_: Any) -> dict[str, int]:
        return {}

    monkeypatch.setattr(archive_parquet, "find_spec", lambda _: SimpleNamespace())
    for module in (audit_commands, archive_commands):
        monkeypatch.setattr(module, "connected", made.connected)
    monkeypatch.setattr(audit_commands, "clean", clean)
    return made


async def test_a_seal_says_where_the_actions_of_people_ended_and_verify_asks_for_that(given: Given) -> None:
    given.ledger.act("redrive.start", "redrive.stop")
    seal = await given.seal()
    given.ledger.act("dead_letter.discard")
    assert await given.whys(seal) == []
    given.ledger.actions, before = [], given.ledger.actions
    for one in before:
        given.ledger._note_action("eve", "terminal", one["action"], "dead letter 7", "")
    assert await given.whys() == [], "every hash fits"
    assert await given.whys(seal) == [(2, SEALED)]


async def test_nobody_seals_actions_that_were_taken_back_while_the_ledger_was_walked(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of their chain is read first; by the end of the walk it must be in it still."""
    given.ledger.act("redrive.start", "redrive.stop")
    walk = audit_commands.walk

    async def meanwhile(*arguments: Any) -> Any:
        last = given.ledger.actions.pop(0)
        given.ledger.action_head = {"last_id": last["id"], "hash": last["hash"]}
        given.ledger.actions = [last]
        return await walk(*arguments)

    monkeypatch.setattr(audit_commands, "walk", meanwhile)
    found, _ = await audit_commands._seal_into(given.settings(), given.folder / "a.seal", None)
    assert [(one.id, one.why) for one in found.broken] == [(2, SEALED)]
    assert [path.name for path in given.folder.iterdir()] == ["archive"]


async def test_a_ledger_that_does_not_hold_is_neither_sealed_nor_published(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[tuple[str, bytes]] = []

    async def publish(_settings: Settings, topic: str, path: Path) -> None:
        published.append((topic, path.read_bytes()))  # noqa: ASYNC240 - a few bytes

    monkeypatch.setattr(audit_commands, "publish_seal", publish)
    given.ledger.row(4)["event_type"] = "other"
    for path in (None, given.folder / "a.seal"):
        found, _ = await audit_commands._seal_into(given.settings(), path, "seals")
        assert [one.id for one in found.broken] == [4]
    assert published == []
    assert [path.name for path in given.folder.iterdir()] == ["archive"]
    given.ledger.row(4)["event_type"] = "customer.updated"
    await audit_commands._seal_into(given.settings(), None, "seals")
    await audit_commands._seal_into(given.settings(), given.folder / "a.seal", "seals")
    assert [topic for topic, _ in published] == ["seals", "seals"]
    assert published[1][1] == (given.folder / "a.seal").read_bytes()


async def test_with_the_key_anchors_are_checked_whatever_else_is_asked_for(given: Given) -> None:
    await given.retain()
    anchor = next(iter(given.ledger.anchors.values()))
    anchor["rows_removed"] += 1
    why = "its anchor is not what retention signed, or by another key"
    assert await given.whys() == [(None, why)]
    assert await given.whys(key=False) == []


async def test_retention_is_written_down_before_anything_goes_and_signs_by_the_key(given: Given) -> None:
    removed, waiting = await given.retain()
    assert (removed, waiting) == ({"removed": 9}, False)
    assert given.ledger.asked.index("note_action") < given.ledger.asked.index("list_old_rows")
    (action,) = given.ledger.actions
    assert (action["who"], action["action"], action["target"]) == (
        "ada", "ledger.retain", "ledger rows older than 400 days",
    )  # fmt: skip
    for payment_id, anchor in given.ledger.anchors.items():
        assert anchor["mac"] == anchor_mac(KEY, {"payment_id": payment_id} | anchor)
    (settings,) = given.opened
    assert settings.postgres.dsn is not None
    assert settings.postgres.dsn.get_secret_value() == "postgresql://o@h/d"


async def test_retention_adopts_what_is_unsigned_only_where_it_was_stated(given: Given) -> None:
    await given.retain(key=False)
    given.ledger.add(1, 20, at=OLD)
    given.ledger.add(None, 20, at=OLD)
    with pytest.raises(SealError, match="--adopt-unsigned"):
        await given.retain()
    assert len(given.ledger.rows) == 2
    assert await given.retain(adopt=True) == ({"removed": 2}, False)


async def test_where_an_archive_is_set_only_what_it_has_goes_and_the_rest_waits(given: Given) -> None:
    assert await given.retain(archive=True) == ({"removed": 0}, True)
    assert await given.archived() == 9
    young = given.ledger.add(1, 30, at=OLD)
    assert await given.retain(archive=True) == ({"removed": 9}, True)
    assert given.ledger.ids() == [young["id"]]
    assert await given.archived(401) == 1
    assert await given.retain(archive=True) == ({"removed": 1}, False)
    assert [one["action"] for one in given.ledger.actions] == [
        "ledger.retain", "ledger.archive", "ledger.retain", "ledger.archive", "ledger.retain",
    ]  # fmt: skip


async def test_what_is_archived_is_as_many_days_old_as_was_stated(given: Given) -> None:
    assert await given.archived(501) == 0
    assert await given.archived(499) == 9


async def test_verify_holds_archive_seal_and_ledger_against_each_other(given: Given) -> None:
    seal = await given.seal()
    await given.archived()
    verified = await audit_commands._verify(given.settings(), seal, None, given.archive)
    assert (verified.found.broken, verified.archived_rows, verified.archived_files) == ([], 9, 1)
    assert await given.retain(archive=True) == ({"removed": 9}, False)
    assert await given.whys(seal, given.archive) == [], "what the seal names is in the archive"
    given.ledger.add(3, 40, at=OLD)
    await given.retain()
    wrong = [(10, "it and what was before it were removed, and are not in the archive")]
    assert await given.whys(None, given.archive) == wrong
    assert await given.whys() == []
    (manifest,) = Archive(given.archive, KEY).files
    file = given.archive / manifest.file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = await given.whys(None, given.archive)
    assert wrong[0] in found
    assert "is not what was archived" in found[0][1]
    given.ledger = PaperLedger()
    assert "is not what was archived" in (await given.whys(None, given.archive))[0][1]


async def test_findings_of_the_archive_alone_are_findings(given: Given) -> None:
    await given.archived()
    (manifest,) = Archive(given.archive, KEY).files
    (given.archive / manifest.name).write_text("hello\n")
    assert await given.whys(None, given.archive) == [(None, f"the archive: {manifest.name} is no manifest")]
    with pytest.raises(RatchetError, match="does not hold"):
        await given.retain(archive=True)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    settings = Settings(audit=AuditSettings(archive="of-the-settings"))  # type: ignore[arg-type] - pydantic makes a path
    monkeypatch.setattr(endpoints, "load", lambda: settings)
    monkeypatch.setattr(endpoints, "found", lambda settings: settings)
    return lambda *words: CliRunner().invoke(app, ["audit", *words]).exit_code


def test_an_archive_is_proved_by_one_seal_and_goes_where_it_should(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def archive(_settings: Settings, folder: Path, days: int, seal: Any, operator: Operator) -> Any:
        asked.append((str(folder), days, tuple(one and str(one) for one in seal), operator.who))
        from ops.archive_run import ArchivedRows

        return ArchivedRows()

    monkeypatch.setattr(archive_commands, "_archive", archive)
    assert run("archive", "--days", "400") == 2
    assert run("archive", "--days", "400", "--seal", "a", "--seal-topic", "b") == 2
    assert run("archive", "--days", "0", "--seal", "a") == 2
    assert run("archive", "--days", "400", "--seal", "a", "--who", "ada") == 0
    assert run("archive", "--days", "400", "--seal-topic", "b", "--archive", "there", "--who", "ada") == 0
    assert asked == [
        ("of-the-settings", 400, ("a", None), "ada"),
        ("there", 400, (None, "b"), "ada"),
    ]


def test_ledger_rows_are_never_removed_before_their_time(run: Any) -> None:
    assert run("retain", "--days", str(DAYS_MIN - 1), "--yes") == 2


def test_actions_are_asked_for_by_all_that_was_stated(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        "actions", "--who", "ada", "--action", "redrive", "--since", "2026-01-02T03:04:05+00:00",
        "--until", "2026-02-03T04:05:06+00:00", "--before", "9", "--limit", "7", "--json",
    )  # fmt: skip
    asked: list[Any] = []

    async def listed(_settings: Settings, filters: Any, limit: int) -> ActionPage:
        asked.append((filters, limit))
        return ActionPage((), None)

    monkeypatch.setattr(audit_commands, "_list_actions", listed)
    monkeypatch.setattr(server, "given", lambda: None)
    assert run(*words) == 0
    ((filters, limit),) = asked
    assert (filters.who, filters.action, filters.before, limit) == ("ada", "redrive", 9, 7)
    assert (filters.since.isoformat(), filters.until.isoformat()) == (
        "2026-01-02T03:04:05+00:00",
        "2026-02-03T04:05:06+00:00",
    )

    class Console:
        def pages(self, *arguments: Any) -> dict[str, Any]:
            asked.append(arguments)
            return {"actions": [], "before": None}

    monkeypatch.setattr(server, "given", Console)
    assert run(*words) == 0
    *_, limit, query, before = asked[1]
    assert (limit, before, query["who"], query["action"]) == (7, 9, "ada", "redrive")
    assert [dt.datetime.fromisoformat(str(query[name])) for name in ("since", "until")] == [
        filters.since,
        filters.until,
    ]
