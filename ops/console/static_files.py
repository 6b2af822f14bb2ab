"""The files that pages need: read once from the package, served under the name of what they hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

TYPES: Final = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
    "htmx.min.js": "text/javascript; charset=utf-8",
}
"""The files, and what each is."""
FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """One file; `url` names its content, so that it may be kept for ever."""

    content: bytes
    type: str
    url: str


def load() -> dict[str, File]:
    """Read the files."""
    found = {}
    for name, kind in TYPES.items():
        content = resources.files("ops.console").joinpath("static", name).read_bytes()
        found[name] = File(content, kind, f"/static/{hashlib.sha256(content).hexdigest()[:16]}/{name}")
    return found


class StaticFiles:
    """Serves the files to everybody: the page that asks for the password needs them too."""

    def __init__(self) -> None:
        self.files = load()

    def url(self, name: str) -> str:
        """Return where a file is."""
        return self.files[name].url

    async def answer(self, request: Request) -> Response:
        """Answer a request for a file."""
        file = self.files.get(request.path_params["name"])
        if file is None or file.url != request.url.path:
            return PlainTextResponse("there is no such file", HTTPStatus.NOT_FOUND)
        return Response(file.content, media_type=file.type, headers={"cache-control": FOREVER})
