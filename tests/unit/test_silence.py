"""Which servers are asked, and whose sessions are ended; and who is taken of several hosts."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from asyncpg.connect_utils import SessionAttribute
from waiting import until

from runtime import metrics, postgres_hosts, postgres_silence
from runtime.postgres_hosts import Hosts, demand_of
from runtime.postgres_silence import QUIET_SECONDS, Silence

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


class PaperSession:
    """A session with a server, which waits for an answer or not."""

    def __init__(self, server: tuple[str, int], waiting_since: float | None) -> None:
        self.server, self.waiting_since, self.ended = server, waiting_since, False

    def is_closed(self) -> bool:
        return self.ended

    def terminate(self) -> None:
        self.ended = True


class PaperPool:
    closing = False

    def is_closing(self) -> bool:
        return self.closing


async def watched(*sessions: PaperSession) -> Silence:
    silence = Silence()
    for session in sessions:

        async def connect(session: PaperSession = session) -> PaperSession:
            return session

        await silence.watched(connect)()
    return silence


async def test_a_server_that_is_silent_loses_all_its_sessions_and_one_that_answers_keeps_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_silence, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(postgres_silence, "ANSWER_SECONDS", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        writer.close()

    live = await asyncio.start_server(serve, "127.0.0.1", 0)
    long_ago = time.monotonic() - QUIET_SECONDS - 1
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        places = live.sockets[0].getsockname(), frozen.getsockname()
        patient = PaperSession(places[0], long_ago)
        waiting, idle = PaperSession(places[1], long_ago), PaperSession(places[1], None)
        silence, pool = await watched(patient, waiting, idle), PaperPool()
        silence.start(pool)  # type: ignore[arg-type]
        before = metrics.POSTGRES_SILENCES._value.get()
        await until(lambda: waiting.ended, within_seconds=20)
        await until(lambda: metrics.POSTGRES_SILENCES._value.get() == before + 1, within_seconds=5)
        assert (idle.ended, patient.ended) == (True, False)
        pool.closing = True
    live.close()


async def test_only_those_that_wait_for_long_are_looked_after() -> None:
    now = time.monotonic()
    silence = await watched(kept := PaperSession(("a", 1), now), PaperSession(("b", 1), None))
    assert silence.waited_for(now + 1) == set()
    assert silence.waited_for(now + QUIET_SECONDS + 0.1) == {("a", 1)}
    kept.ended = True
    assert silence.waited_for(now + QUIET_SECONDS + 0.1) == set()


async def test_one_question_that_is_lost_ends_nothing_and_who_was_ended_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_silence, "LOOK_SECONDS", 0.001)
    asked: list[str | tuple[str, int]] = []

    async def answers(server: str | tuple[str, int], _seconds: float) -> bool:
        await asyncio.sleep(0)
        asked.append(server)
        return server == ("lossy", 1) and asked.count(server) > 1

    monkeypatch.setattr(postgres_silence, "answers", answers)
    long_ago = time.monotonic() - QUIET_SECONDS - 1
    lossy, first, second = (PaperSession((name, 1), None) for name in ("lossy", "first", "second"))
    silence, pool = await watched(lossy, first, second), PaperPool()
    silence.start(pool)  # type: ignore[arg-type]
    lossy.waiting_since = long_ago
    await until(lambda: asked.count(lossy.server) > 3, within_seconds=5)
    for one in (first, second):
        one.waiting_since = long_ago
        await until(lambda one=one: one.ended, within_seconds=5)
    assert not lossy.ended
    pool.closing = True


async def test_one_that_refuses_or_is_not_there_answers_not(tmp_path: Path) -> None:
    """It is no error: who looks would begin anew, and end nobody's session."""
    for server in (("127.0.0.1", 1), str(tmp_path / ".s.PGSQL.5432")):
        assert not await postgres_silence.answers(server, 5.0)


class PaperConnection:
    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def terminate(self) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let `hangs` never answer and `standby` be none that takes writes; give what was asked, in order."""
    order: list[str] = []

    async def connect(dsn: str, **_: Any) -> PaperConnection:
        order.append(dsn)
        if "hangs" in dsn:
            await asyncio.Event().wait()
        if "standby" in dsn:
            raise asyncpg.TargetServerAttributeNotMatched("read-only")
        if "dead" in dsn:
            raise ConnectionRefusedError
        return PaperConnection(dsn)

    monkeypatch.setattr(postgres_hosts.asyncpg, "connect", connect)
    monkeypatch.setattr(postgres_hosts, "HEAD_START_SECONDS", 0.05)
    return order


async def test_a_host_that_hangs_holds_up_no_other_and_who_served_is_asked_first(asked: list[str]) -> None:
    hosts = Hosts("postgresql://hangs,primary/d")
    found: Any = await hosts.connect("", timeout=5)
    assert found.dsn == "postgresql://primary/d"
    asked.clear()
    await hosts.connect("", timeout=5)
    assert asked == ["postgresql://primary/d"]


async def test_the_failure_that_tells_more_is_raised(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_hosts, "HEAD_START_SECONDS", 0.01)
    with pytest.raises(ConnectionRefusedError):
        await Hosts("postgresql://dead,standby/d").connect("", timeout=5)
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched, match="read-only"):
        await Hosts("postgresql://standby,standby/d").connect("", timeout=5)
    with pytest.raises(TimeoutError):
        await Hosts("postgresql://hangs,dead/d").connect("", timeout=0.1)
    assert len(asked) == 6


@pytest.mark.parametrize(
    ("dsn", "asked_for", "answer"),
    [
        ("postgresql://a/d", None, None),
        ("postgresql://a/d", SessionAttribute.read_write, False),
        ("postgresql://a/d?target_session_attrs=read-write", None, False),
        ("postgresql://a/d?target_session_attrs=standby", None, True),
        ("postgresql://a/d?target_session_attrs=read-only", SessionAttribute.primary, False),
        ("postgresql://a/d?target_session_attrs=prefer-standby", None, None),
        ("postgresql://a/d?target_session_attrs=nonsense", None, None),
    ],
)
def test_what_a_server_must_answer_to_be_taken(dsn: str, asked_for: Any, answer: bool | None) -> None:  # noqa: FBT001
    found = demand_of(dsn, {"target_session_attrs": asked_for})
    assert (None if found is None else found[1]) == answer


class Pooler:
    """A pooler that takes no setting at login but the name, and a server behind it."""

    def __init__(self, *, refuses: str = "unsupported startup parameter: lock_timeout") -> None:
        self.refuses = refuses
        self.logins: list[list[str]] = []
        self.set: list[tuple[list[str], list[str]]] = []

    async def connect(self, _dsn: str, *, server_settings: dict[str, str], **_: Any) -> Pooler:
        await asyncio.sleep(0)
        self.logins.append(sorted(server_settings))
        if set(server_settings) - {"application_name"}:
            raise asyncpg.ProtocolViolationError(self.refuses)
        return self

    async def fetch(self, query: str, names: list[str], values: list[str]) -> None:
        await asyncio.sleep(0)
        assert "set_config(name, value, false)" in query, "for the session, not for the statement"
        self.set.append((names, values))


ASKED = {"application_name": "ratchet relay", "lock_timeout": "300"}


async def test_settings_that_a_pooler_refuses_at_login_are_set_in_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    pooler = Pooler()
    monkeypatch.setattr(postgres_hosts.asyncpg, "connect", pooler.connect)
    hosts = Hosts("postgresql://pooler/d")
    for _ in range(2):
        await hosts.connect("", server_settings=ASKED)
    assert pooler.logins == [sorted(ASKED), ["application_name"], ["application_name"]], "it is asked once"
    assert pooler.set == [(list(ASKED), list(ASKED.values()))] * 2


async def test_what_a_pooler_refuses_besides_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    pooler = Pooler(refuses="no such database")
    monkeypatch.setattr(postgres_hosts.asyncpg, "connect", pooler.connect)
    with pytest.raises(asyncpg.ProtocolViolationError, match="no such database"):
        await Hosts("postgresql://pooler/d").connect("", server_settings=ASKED)
    assert len(pooler.logins) == 1


def test_a_server_that_only_reads_by_its_own_setting_takes_no_writes() -> None:
    for asked_for, by_setting in ((SessionAttribute.read_write, True), (SessionAttribute.primary, False)):
        found = demand_of("postgresql://a/d", {"target_session_attrs": asked_for})
        assert found is not None
        assert ("default_transaction_read_only" in found[0]) is by_setting
