"""A console that commands ask instead of a database: `ratchet --server URL --token-file F`, through its `/admin/v1`.

Commands that can be asked there are marked `by_server`; every other one says so and does nothing. What comes back is
what the command has as JSON here, so `revived` makes the rows of it that the same tables show.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from ops.loopback import is_loopback
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ops.dlq_filters import LetterFilter

    Command = TypeVar("Command", bound=Callable[..., int])

ROOT: Final = "/admin/v1"
MESSAGE_LENGTH_MAX: Final = 500
CANT_BE_MEANT: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
JSON_COLUMNS: Final = ("facts", "metadata")
MARK: Final = "by_server"

_given: ContextVar[RemoteConsole | None] = ContextVar("server", default=None)


@dataclass(frozen=True, slots=True)
class RemoteConsole:
    """A console and a person's token for it."""

    url: str
    token: str = field(repr=False)

    def get(self, path: str, /, **query: Any) -> dict[str, Any]:
        """Return what a path holds; raise RatchetError where the console refuses, UnavailableError where it is away."""
        return self._done(self._ask("GET", path, query=query))

    def find(self, path: str, /, **body: Any) -> dict[str, Any] | None:
        """Return what a path holds, or what came of posting to it; None where there is no such thing."""
        status, document = self._ask("POST", path, body=body) if body else self._ask("GET", path)
        return None if status is HTTPStatus.NOT_FOUND else self._done((status, document))

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        """Have something done; return what was. Raises what `get` raises."""
        return self._done(self._ask("POST", path, body={name: one for name, one in body.items() if one is not None}))

    def pages(  # noqa: PLR0913, PLR0917 - what is asked for, and how its pages go on
        self, path: str, rows: str, more: str, limit: int, query: Mapping[str, Any], start: object = None
    ) -> dict[str, Any]:
        """Return the first document of a listing with up to `limit` rows in it, page after page, and where it ended."""
        found: list[dict[str, Any]] = []
        after, whole = start, None
        while True:
            page = self.get(path, **(dict(query) | {"limit": limit - len(found), more: after}))
            whole = whole or page
            found += page[rows]
            after = page[more]
            if after is None or len(found) >= limit:
                return whole | {rows: found, more: after}

    def _ask(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> tuple[HTTPStatus, Any]:
        return asyncio.run(_ask(self, method, path, query or {}, body))

    def _done(self, answer: tuple[HTTPStatus, Any]) -> dict[str, Any]:
        status, document = answer
        if isinstance(document, dict) and status is HTTPStatus.OK:
            return document
        message = document.get("message") or document.get("detail") if isinstance(document, dict) else None
        if not isinstance(message, str):
            raise RatchetError(
                f"{self.url} answered {status.value} with what no console's /admin/v1 says; is that its address?"
            )
        message = f"{self.url}: {message[:MESSAGE_LENGTH_MAX]}"
        if status in CANT_BE_MEANT:
            raise SettingsError(message)
        raise UnavailableError(message) if status is HTTPStatus.SERVICE_UNAVAILABLE else RatchetError(message)


def read(url: str | None, token_file: Path | None) -> RemoteConsole | None:
    """Return the console that is meant, None where none is; raise SettingsError where that can't be.

    A token never goes over a wire in clear: without https the console has to be on this machine.
    """
    if url is None and token_file is None:
        return None
    if url is None or token_file is None:
        raise SettingsError("--server and --token-file belong together; give both or neither")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.username:
        raise SettingsError("--server: write the console's address alone, as in https://ratchet.example")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(f"--server: {host} would see the token in clear; use https, or a tunnel to 127.0.0.1")
    return RemoteConsole(f"{parts.scheme}://{parts.netloc}", _token(token_file))


def _token(path: Path) -> str:
    from ops.tokens import LENGTH_MAX, PREFIX

    try:
        with path.open(encoding="ascii") as file:
            text = file.read(LENGTH_MAX * 2).strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(f"--token-file: {path} can't be read ({why})") from None
    if not text.startswith(PREFIX) or len(text) > LENGTH_MAX or not text.isprintable() or " " in text:
        raise SettingsError(f"--token-file: {path} holds no token of `ratchet operator token`")
    return text


def given() -> RemoteConsole | None:
    """Return the console that the command line named, None where it named none."""
    return _given.get()


def choose(server: RemoteConsole | None) -> None:
    """Take what the command line named, for the command that follows."""
    _given.set(server)


def by_server(function: Command) -> Command:
    """Mark a command that asks a console where one is named."""
    setattr(function, MARK, True)
    return function


def check(function: Callable[..., object]) -> None:
    """Raise SettingsError where a console is named and the command can't be asked there."""
    if given() is not None and not getattr(function, MARK, False):
        raise SettingsError(
            "this command looks at, or changes, what only the machines of Ratchet reach: "
            "run it there, without --server and --token-file"
        )


async def _ask(
    server: RemoteConsole, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None
) -> tuple[HTTPStatus, Any]:
    import aiohttp

    from runtime import settings as configuration

    bounds = configuration.load().ops
    asked = {name: str(value) for name, value in query.items() if value is not None}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=bounds.server_timeout_seconds)) as session,
            session.request(
                method,
                f"{server.url}{ROOT}{path}",
                params=asked,
                json=body,
                headers={"authorization": f"Bearer {server.token}"},
                allow_redirects=False,
            ) as answer,
        ):
            whole = bytearray()
            async for chunk in answer.content.iter_any():
                whole += chunk
                if len(whole) > bounds.server_answer_bytes_max:
                    raise RatchetError(
                        "the answer is too long; ask for less, or raise RATCHET_OPS__SERVER_ANSWER_BYTES_MAX"
                    )
            return HTTPStatus(answer.status), _document(bytes(whole))
    except TimeoutError as error:
        raise UnavailableError(f"{server.url} did not answer within {bounds.server_timeout_seconds:g} s") from error
    except aiohttp.ClientError as error:
        raise UnavailableError(f"{server.url} can't be asked ({type(error).__name__}); is a console there?") from error


def _document(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def named(text: object) -> str:
    """Return a text as a part of a path."""
    return quote(str(text), safe="")


def filter_fields(filters: LetterFilter) -> dict[str, Any]:
    """Return a choice of dead letters as `/admin/v1` takes it."""
    fields = filters.document()
    if "ids" in fields:
        fields["ids"] = ",".join(map(str, fields["ids"])) or "0"
    return fields


def revived(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of an answer with its times as times, and its JSON as the text that a database gives."""
    return {name: _revived(name, value) for name, value in row.items()}


def _revived(name: str, value: Any) -> Any:
    if isinstance(value, str) and name.endswith(("_at", "_until")):
        return dt.datetime.fromisoformat(value)
    return json.dumps(value) if name in JSON_COLUMNS and isinstance(value, dict | list) else value
