"""Guesses that come at the same moment are as many as those that come one by one: each counts before it is compared."""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.datastructures import Headers

from ops.console.pages.signing_in import choose_password, sign_in
from ops.console.passwords import Tries
from ops.console.persons import Person
from ops.people import PersonRole
from runtime.settings import ConsoleSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.unit

TRIES, GUESSES = 3, 20
ADA = Person("ada", PersonRole.ADMIN, 7)


class SlowPasswords:
    """Compares slowly: what is asked at the same moment waits beside each other. No guess is right."""

    def __init__(self) -> None:
        self.compared = 0

    async def opens(self, _password: str) -> bool:
        return await self.admit("", "") is not None

    async def admit(self, _name: str, _password: str) -> None:
        self.compared += 1
        for _ in range(5):
            await asyncio.sleep(0)

    async def knows(self, _name: str) -> bool:
        return True

    async def note_refused_sign_in(self, *_: Any) -> None: ...


def visit_of(passwords: SlowPasswords, tries: Tries, settings: ConsoleSettings, **form: str) -> Any:
    parts = SimpleNamespace(
        settings=SimpleNamespace(console=settings), tries=tries, rows=passwords, password=passwords, sessions=None
    )
    return SimpleNamespace(
        form=form,
        parts=parts,
        person=ADA,
        origin="console, 192.0.2.1",
        request=SimpleNamespace(client=SimpleNamespace(host="192.0.2.1"), headers=Headers()),
        render=lambda _template, status, **_: status,
    )


@pytest.mark.parametrize(
    ("handler", "form", "refused"),
    [
        (sign_in, {"password": "wrong"}, HTTPStatus.UNAUTHORIZED),
        (sign_in, {"name": "ada", "password": "wrong"}, HTTPStatus.UNAUTHORIZED),
        (choose_password, {"current": "wrong", "chosen": "a new one", "again": "a new one"}, 422),
    ],
    ids=["emergency", "person", "current password"],
)
async def test_guesses_at_once_are_bounded(
    handler: Callable[[Any], Awaitable[int]], form: dict[str, str], refused: int
) -> None:
    settings = ConsoleSettings(login_tries_max=TRIES)
    passwords, tries = SlowPasswords(), Tries(settings)
    guesses = (handler(visit_of(passwords, tries, settings, **form)) for _ in range(GUESSES))
    answers = Counter(await asyncio.gather(*guesses))
    assert passwords.compared == TRIES
    assert answers == {refused: TRIES, HTTPStatus.TOO_MANY_REQUESTS: GUESSES - TRIES}
