"""What every command does alike: a document or a text on standard output, one line of error, an exit status."""

from __future__ import annotations

import functools
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec

import typer
from rich.console import Console
from rich.segment import Segment

from ops.server import check
from runtime.terminal import harmless, harmless_json
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rich.console import ConsoleOptions, RenderableType

Parameters = ParamSpec("Parameters")

EXIT_DONE: Final = 0
EXIT_PROBLEM: Final = 1
EXIT_USAGE: Final = 2

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


class PlainConsole(Console):
    """A terminal that shows texts as they are: no text is markup, and no control character of a text reaches it.

    What is printed comes from strangers: an id may hold escape sequences, a reference `[link=https://evil.example]`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, every piece of text made harmless."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(harmless(piece.text), piece.style)


def out() -> Console:
    """Return the console of standard output; colour only on a terminal, lines are never cut elsewhere."""
    return PlainConsole() if sys.stdout.isatty() else PlainConsole(width=160, no_color=True)


def json_text(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text that a terminal can be shown too: control characters are escaped."""
    return harmless_json(json.dumps(document, default=str, indent=2, ensure_ascii=False))


def emit(document: Mapping[str, Any], *, as_json: bool, show: Callable[[], RenderableType]) -> None:
    """Print the document, or what people read."""
    if as_json:
        sys.stdout.write(json_text(document) + "\n")
        sys.stdout.flush()
    else:
        out().print(show())


def say(line: str) -> None:
    """Write one line for people to standard error, with control characters replaced."""
    sys.stderr.write(harmless(line) + "\n")
    sys.stderr.flush()


def fail(message: str, status: int) -> typer.Exit:
    """Say in one line what is wrong; return what to raise."""
    say(f"ratchet: {' '.join(message.split())}")
    return typer.Exit(status)


def command(function: Callable[Parameters, int]) -> Callable[Parameters, None]:
    """Turn a function that returns an exit status into a command: errors become one line, never a traceback.

    2 for wrong usage or configuration, 1 for what went wrong although they were right.
    """

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            check(function)
            status = function(*args, **kwargs)
        except SettingsError as error:
            raise fail(str(error), EXIT_USAGE) from None
        except RatchetError as error:
            raise fail(str(error), EXIT_PROBLEM) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        if status != EXIT_DONE:
            raise typer.Exit(status)

    run.__annotations__ = {**function.__annotations__, "return": None}
    return run
