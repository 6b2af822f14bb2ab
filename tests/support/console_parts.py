"""A console of doubles: its real pages and gate, its rows in memory. What it does to Postgres is written down."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import httpx

from ops.console.app import build_app, make_templates
from ops.console.parts import Parts
from ops.console.passwords import Tries
from ops.console.persons import Person
from ops.console.sessions import Sessions
from ops.console.sso import SignOn
from ops.console.static_files import StaticFiles
from runtime.settings import ConsoleSettings, Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ops.people import PersonRole

FILES = StaticFiles()
TEMPLATES = make_templates(FILES)
PASSWORD = "open sesame, says Ali Baba"
ADDRESS = "127.0.0.1:8081"


@dataclass
class MemoryRows:
    """What `SessionRows` keeps: people by name with their password, sessions, tokens, and what is written down."""

    people: dict[str, tuple[Person, str]] = field(default_factory=dict)
    tokens: dict[str, Person] = field(default_factory=dict)
    live: dict[bytes, Person] = field(default_factory=dict)
    noted: list[tuple[str, ...]] = field(default_factory=list)
    away: bool = False

    def add(self, name: str, role: PersonRole, password: str = "", *, one_time: bool = False) -> Person:
        """Add a person."""
        person = Person(name, role, len(self.people) + 1, one_time)
        self.people[name] = person, password
        return person

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if callable(found) and not name.startswith("_") and name != "add" and object.__getattribute__(self, "away"):
            raise UnavailableError("Postgres does not answer")
        return found

    async def key(self) -> bytes:
        return b"k" * 32

    async def begin(self, digest: bytes, person: Person, _address: str) -> None:
        self.live[digest] = person

    async def find(self, digest: bytes) -> Person | None:
        return self.live.get(digest)

    async def any_people(self) -> bool:
        return bool(self.people)

    async def admit(self, name: str, password: str) -> Person | None:
        person, kept = self.people.get(name, (None, ""))
        return person if kept and kept == password else None

    async def named(self, name: str) -> Person | None:
        return self.people[name][0] if name in self.people else None

    async def knows(self, name: str) -> bool:
        return name in self.people

    async def bearer(self, token: str) -> Person | None:
        return self.tokens.get(token)

    async def choose_password(self, person: Person, kept: str, _origin: str) -> None:
        self.people[person.name] = replace(person, one_time=False), kept

    async def note(self, *noted: str) -> None:
        self.noted.append(noted)

    async def note_refused_sign_in(self, who: str, origin: str) -> None:
        self.noted.append((who, origin, "console.sign_in_refused"))

    async def use(self, _digest: bytes, _seconds_ago: float) -> None: ...

    async def end(self, digest: bytes) -> None:
        self.live.pop(digest, None)

    async def end_all(self, *_: str) -> None:
        self.live.clear()


@dataclass
class OwnPassword:
    """The password of the settings, compared without a hash."""

    async def opens(self, password: str) -> bool:
        return password == PASSWORD


@dataclass
class Looks:
    """The reader: what each statement returns, and what was asked. `connection` is what work is handed."""

    found: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    connection: Any = None

    async def fetch(self, name: str, *arguments: Any, package: str = "") -> list[dict[str, Any]]:
        self.asked.append((name, *arguments))
        return self.found.get(name, [])

    async def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await work(self.connection)


class Playing:
    """A console without a server or Postgres. Its `browser` keeps cookies, and comes from an address of its choice."""

    def __init__(self, **console: Any) -> None:
        self.settings = Settings().model_copy(update={"console": ConsoleSettings(**({"password": PASSWORD} | console))})
        own = self.settings.console
        self.now = 1000.0
        self.rows, self.looks = MemoryRows(), Looks()
        self.parts = Parts(
            settings=self.settings,
            sessions=Sessions(own, cast("Any", self.rows), lambda: self.now),
            tries=Tries(own, lambda: self.now),
            password=cast("Any", OwnPassword()),
            rows=cast("Any", self.rows),
            sso=SignOn(own),
            reader=cast("Any", self.looks),
            poller=cast("Any", None),
            actions=cast("Any", self.looks),
            ledger=cast("Any", None),
            templates=TEMPLATES,
        )
        self.app = build_app(self.parts, FILES)

    @asynccontextmanager
    async def browser(self, address: str = "192.0.2.1", **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client that keeps cookies and follows nothing."""
        transport = httpx.ASGITransport(cast("Any", self.app), client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{ADDRESS}", headers=headers) as client:
            yield client


async def token_of(client: httpx.AsyncClient, path: str = "/login") -> str:
    """Return the token of a page's form."""
    text = (await client.get(path)).text
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', text)
    assert found, text
    return found[1]


async def sign_in(client: httpx.AsyncClient, password: str = PASSWORD, name: str = "", **form: str) -> httpx.Response:
    """Post the form of the page that asks for the password."""
    fields = {"csrf": await token_of(client), "name": name, "password": password}
    return await client.post("/login", data=fields | form)
