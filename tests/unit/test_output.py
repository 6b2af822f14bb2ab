"""What reaches a terminal: texts as they are, and nothing that it would obey."""

from __future__ import annotations

import io
import json

import pytest
import typer
from rich.table import Table
from rich.text import Text

from ops import output
from ops.output import PlainConsole, emit, json_text, say
from ops.payment_commands import payment_table, timeline_table
from schemas.errors import RatchetError, SettingsError, UnavailableError

pytestmark = pytest.mark.unit

HOSTILE = "\x1b[2J\x1b]0;title\x07 ORD[/x]-7 [link=https://evil.example/]x[/link] \x9b31m \u202e"


def printed(what: object) -> str:
    stream = io.StringIO()
    PlainConsole(file=stream, width=200, force_terminal=True, color_system="truecolor").print(what)
    return stream.getvalue()


@pytest.mark.parametrize("build", [str, Text])
def test_no_text_is_markup_or_control(build: type) -> None:
    table = Table("reference", title=build(HOSTILE))
    table.add_row(build(HOSTILE))
    for shown in (printed(build(HOSTILE)), printed(table)):
        assert "[/x]-7 [link=https://evil.example/]x[/link]" in shown
        assert "\x1b[2J" not in shown
        assert "\x1b]" not in shown
        assert not set(shown) & set("\x07\x9b\u202e")


def test_colours_are_ours() -> None:
    assert "\x1b[32mok\x1b[0m" in printed(Text("ok", style="green"))


def test_json_escapes_what_a_terminal_would_obey() -> None:
    text = json_text({"reference": HOSTILE})
    assert not set(text) & set("\x1b\x07\x9b\u202e\x7f")
    assert json.loads(text) == {"reference": HOSTILE}


def test_sentences_and_documents_go_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    emit({"a": HOSTILE}, as_json=True, show=lambda: "")
    emit({}, as_json=False, show=lambda: HOSTILE)
    found = capsys.readouterr()
    assert not set(found.out + found.err) & set("\x1b\x07\x9b\u202e")
    assert isinstance(output.out(), PlainConsole)


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (0, None),
        (1, 1),
        (SettingsError("wrong"), 2),
        (RatchetError("wrong"), 1),
        (UnavailableError("wrong"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=repr,
)
def test_what_a_command_ended_with_is_its_exit_status(
    ends: int | BaseException, status: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that is cut off: a script would go on as if it had been done."""

    def work() -> int:
        if isinstance(ends, BaseException):
            raise ends
        return ends

    if status is None:
        output.command(work)()
    else:
        with pytest.raises(typer.Exit) as ended:
            output.command(work)()
        assert ended.value.exit_code == status
    assert capsys.readouterr().err == ("ratchet: wrong\n" if isinstance(ends, RatchetError) else "")


def test_a_reference_that_looks_like_markup_shows_a_payment() -> None:
    names = ("status", "refund_status", "dispute_status", "amount", "authorized", "captured", "refunded", "disputed",
             "provider", "account", "merchant_account", "provider_ref", "client", "livemode", "flags", "intent_id",
             "metadata", "created_at", "updated_at")  # fmt: skip
    row = dict.fromkeys(names) | {"id": 1, "status": "created", "currency": "EUR", "reference": "ORD[/x]-7"}
    assert "ORD[/x]-7" in printed(payment_table(row))
    assert "event" in printed(timeline_table([], "EUR"))
