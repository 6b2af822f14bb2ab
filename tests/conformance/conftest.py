from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from client_builds import BUILDERS, LANGUAGES, Client

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Client]:
    """Give a function that builds a language's client, once a session."""
    made: dict[str, Client] = {}

    def build(language: str) -> Client:
        if language not in made:
            made[language] = BUILDERS[language](tmp_path_factory.mktemp(language))
        return made[language]

    return build


@pytest.fixture(params=LANGUAGES)
def client(request: pytest.FixtureRequest, built: Callable[[str], Client]) -> Client:
    return built(request.param)
