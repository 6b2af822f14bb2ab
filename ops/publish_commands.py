"""`ratchet publish --check`: what would become of a record, for services that publish to Kafka themselves."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from msgspec.structs import replace

from consumer.decode import endpoints_of
from ops import endpoints
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit
from ops.publish_check import CheckedRecord, check_alone, check_beside_ledger, need_topic, record_of
from runtime.settings.scopes import scopes_of
from schemas.errors import SettingsError
from schemas.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from runtime.settings import Settings
    from schemas.record import Record

NOT_BOUND: Final = "neither RATCHET_SOURCES nor RATCHET_EXECUTORS is set here: who may publish was not looked at"
WOULD: Final = {
    "take": "It is well formed and would be taken.",
    "apply": "It would have its effect.",
    "noop": "It would change nothing.",
    "orphan": "It would wait for its payment.",
    "illegal": "It would become a dead letter.",
}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish")(publish)


@command
def publish(
    *,
    check: Annotated[Path, typer.Option(metavar="FILE", help="The record's value, or a document; - reads it.")],
    topic: Annotated[str | None, typer.Option(help="Where it would be published.")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A header, as ce_id=..")] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", "--books", help="Look at the ledger too: what it would do now.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say what would become of a record that an upstream service wants to publish. Nothing is published or written.

    FILE holds the value alone, or {"topic", "key", "headers", "value"}. Without --ledger no database is needed.
    """
    settings = endpoints.load()
    topics, headers = settings.kafka.topics, [_header(one) for one in header or ()]
    record = record_of(_read(check), topic=topic, headers=headers, topics=topics)
    need_topic(record.topic, topics)
    found = _checked(record, settings, beside_ledger=ledger)
    emit(msgspec.to_builtins(found), as_json=as_json, show=lambda: _text(found))
    return EXIT_PROBLEM if found.would == "illegal" else EXIT_DONE


def _checked(record: Record, settings: Settings, *, beside_ledger: bool) -> CheckedRecord:
    topics = settings.kafka.topics
    known = endpoints_of(scopes_of(settings), topics)
    if not beside_ledger:
        bound = settings.sources or settings.executors
        alone = check_alone(record, known if bound else replace(known, sources=None, executors=None))
        unsure = record.topic == topics.events.name and not bound and alone.would == "take"
        return replace(alone, notes=(*alone.notes, NOT_BOUND)) if unsure else alone
    return asyncio.run(check_beside_ledger(record, endpoints.found(settings), known))


def _read(path: Path) -> bytes:
    """Read a file, or standard input, as far as a record could hold it."""
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as source:
            content = source.read(RECORD_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from None
    if len(content) > RECORD_BYTES_MAX:
        raise SettingsError(f"{path} is over {RECORD_BYTES_MAX} bytes, the most that a record may have")
    return content


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise SettingsError(f"--header {text!r} is no NAME=VALUE")
    return name, value


def _text(found: CheckedRecord) -> str:
    lines = [WOULD[found.would], ": ".join(filter(None, (found.outcome, found.why)))]
    if says := found.says:
        lines.append(f"{says['event_type']} {says['event_id']} of {says['source']}")
        lines += [f"  {one['kind']} {one['reference']}" for one in says["references"]]
        lines += [f"  {one['kind']} {one['key']}: {one['state']} {one['amount'] or ''}" for one in says["facts"]]
    return "\n".join([*filter(None, lines), *(f"Note: {note}." for note in found.notes)])
