"""What of a person a session's row keeps, what comes back of it, and the key that consoles share."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from ops.console.persons import EMERGENCY, Person
from ops.console.session_rows import SessionRows
from ops.people import PersonRole
from ops.tokens import digest
from runtime.settings import Settings
from schemas.errors import RatchetError

pytestmark = pytest.mark.unit

OPERATORS = {7: ("ada", "operator")}


class Tables:
    """Sessions and the key, as the statements keep them; each answer lets the others go on first."""

    def __init__(self) -> None:
        self.sessions: dict[bytes, dict[str, Any]] = {}
        self.key: tuple[bytes, str] | None = None
        self.asked: list[tuple[Any, ...]] = []
        self.found: dict[str, list[dict[str, Any]]] = {}

    async def fetch(self, name: str, *arguments: Any, **_: Any) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        self.asked.append((name, *arguments))
        own = getattr(self, name, None)
        return own(*arguments) if own else self.found.get(name, [])

    def begin_session(self, digest: bytes, name: str, *more: Any) -> list[dict[str, Any]]:
        _, _, operator_id, action, origin, role = more
        self.sessions[digest] = {"name": name, "operator_id": operator_id, "role": role}
        self.noted = action, origin
        return []

    def find_session(self, digest: bytes, *_: float) -> list[dict[str, Any]]:
        row = self.sessions.get(digest)
        if row is None:
            return []
        operator = OPERATORS.get(row["operator_id"])
        return [row | {"role": operator[1] if operator else row["role"], "one_time": False if operator else None}]

    def read_console_key(self) -> list[dict[str, Any]]:
        return [] if self.key is None else [{"signing_key": self.key[0], "password_hash": self.key[1]}]

    def insert_console_key(self, key: bytes, hashed: str) -> list[dict[str, Any]]:
        self.key = self.key or (key, hashed)
        return []

    def change_console_key(self, key: bytes, hashed: str, before: str) -> list[dict[str, Any]]:
        if self.key is not None and self.key[1] == before:
            self.key = key, hashed
            self.sessions.clear()
        return []


class Known:
    """A password whose hash is itself, with a salt of its own."""

    def __init__(self, password: str, salt: str = "a") -> None:
        self._password, self.hashed = password, f"{password}/{salt}"

    def made(self, stored: str) -> bool:
        return stored.partition("/")[0] == self._password

    async def fits(self, kept: str | None, password: str) -> bool:
        return kept == password


def rows_of(tables: Tables, password: Known | None = None) -> SessionRows:
    rows = SessionRows(Settings(), cast("Any", password or Known("p")))
    rows._fetch = tables.fetch  # type: ignore[method-assign]
    return rows


@pytest.mark.parametrize(
    "person",
    [
        Person("ada", PersonRole.OPERATOR, 7),
        EMERGENCY,
        Person("eve@example.com", PersonRole.VIEWER),
        Person("emergency", PersonRole.VIEWER),
    ],
    ids=["operator", "emergency", "of a provider", "of a provider, by that name"],
)
async def test_who_signed_in_is_who_comes_back(person: Person) -> None:
    tables = Tables()
    rows = rows_of(tables)
    await rows.begin(b"d", person, "192.0.2.1")
    found = await rows.find(b"d")
    assert found is not None
    assert (found.name, found.role, found.operator_id) == (person.name, person.role, person.operator_id)
    assert (found == EMERGENCY) is (person == EMERGENCY)
    action = "console.emergency_sign_in" if person == EMERGENCY else "console.sign_in"
    assert tables.noted == (action, "console, 192.0.2.1")
    assert await rows.find(b"e") is None


async def test_a_token_is_for_the_less_of_its_role_and_the_person_s() -> None:
    tables = Tables()
    rows = rows_of(tables)
    found = set()
    for most in PersonRole:
        for own in PersonRole:
            row = {"name": "ada", "operator_id": 7, "role": most.value, "token_role": own.value}
            tables.found["find_token"] = [row]
            person = await rows.bearer("ratchet_x")
            assert person is not None
            found.add((most, own, person.role))
    order = list(PersonRole)
    assert found == {(most, own, min(most, own, key=order.index)) for most in order for own in order}
    assert tables.asked[-1] == ("find_token", digest("ratchet_x")), "the token itself goes nowhere"
    tables.found = {}
    assert await rows.bearer("ratchet_x") is None


async def test_who_is_gone_chooses_no_password() -> None:
    with pytest.raises(RatchetError, match="not there any more"):
        await rows_of(Tables()).choose_password(Person("ada", PersonRole.VIEWER, 7), "hash", "console, a")


class TestKey:
    async def test_consoles_of_one_password_share_it(self) -> None:
        tables = Tables()
        keys = await asyncio.gather(*(rows_of(tables, Known("p", salt)).key() for salt in "abc"))
        assert len(set(keys)) == 1
        assert len(keys[0]) == 32

    async def test_another_password_is_another_key_and_ends_what_was_begun(self) -> None:
        tables = Tables()
        before = await rows_of(tables).key()
        await rows_of(tables).begin(b"d", EMERGENCY, "a")
        changed = await asyncio.gather(*(rows_of(tables, Known("q", salt)).key() for salt in "ab"))
        assert len({*changed, before}) == 2, "both have the one that was written"
        assert tables.sessions == {}
        await rows_of(tables, Known("q")).begin(b"e", EMERGENCY, "a")
        assert await rows_of(tables, Known("q", "c")).key() == changed[0]
        assert b"e" in tables.sessions, "a console that starts later ends nothing"
