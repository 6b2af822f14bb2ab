"""`ratchet schema`: the contracts as files, for those who do not read Python."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any, Final

import typer
import yaml  # type: ignore[import-untyped]

import providers
from ops.output import EXIT_DONE, AsJson, command, emit
from producers.ingress.intents.wiring import verifications_of
from runtime.settings import IngressSettings
from schemas import asyncapi, header_shapes, openapi, record_shapes
from schemas.changes import Change, State
from schemas.cli_answers import ANSWERS
from schemas.commands import CommandRecord
from schemas.errors import SettingsError
from schemas.intents import IntentRecord

Json = dict[str, Any]

SERVER_URL: Final = f"http://{IngressSettings().bind}"
"""Where the ingress is if nobody says otherwise."""

schema = typer.Typer(no_args_is_help=True, help="The contracts: HTTP, topics, records, answers.")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(schema, name="schema")


@schema.callback()
def _group() -> None:
    """Keep `export` a command of the group, also while it is the only one."""


def files(server_url: str = SERVER_URL) -> dict[str, str]:
    """Return every exported file: its path below the folder, and its text."""
    written = {
        "openapi.json": _json(openapi.document(providers.paying(), server_url, verifications_of(providers.names()))),
        "asyncapi.yaml": yaml.dump(asyncapi.document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120),
    }
    return written | {f"json-schema/{name}.json": _json(_titled(name, one)) for name, one in _schemas().items()}


def _schemas() -> dict[str, Json]:
    answers = {f"cli-{words.replace(' --', '-').replace(' ', '-')}": model for words, model in ANSWERS.items()}
    return {
        "intent-record": record_shapes.standalone(IntentRecord.__name__),
        "event": record_shapes.event(),
        "change": record_shapes.standalone(Change.__name__),
        "state": record_shapes.standalone(State.__name__),
        "command-record": record_shapes.standalone(CommandRecord.__name__),
        "webhook-headers": header_shapes.webhook(),
        "intent-headers": header_shapes.intent(),
        "event-headers": header_shapes.event(),
        "change-headers": header_shapes.change(),
        "state-headers": header_shapes.state(),
        "command-headers": header_shapes.command(),
        "dead-letter-headers": header_shapes.dead_letter(),
        **{name: model.model_json_schema(mode="serialization") for name, model in answers.items()},
    }


def _titled(name: str, found: Json) -> Json:
    return {"$schema": record_shapes.DIALECT, "$id": f"urn:ratchet:schema:{name}"} | found


def _json(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Plain(yaml.SafeDumper):  # type: ignore[misc]
    """Writes repeated values out instead of anchors, which AsyncAPI's tools do not all follow."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def write(folder: Path, server_url: str) -> list[str]:
    """Write the files below a folder; return their names. Raises SettingsError where it can't be written to."""
    found = files(server_url)
    try:
        for name, text in found.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{folder} can't be written to: {error.strerror}; name another folder") from None
    return list(found)


@schema.command("export")
@command
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; it is made where there is none.")],
    *,
    server_url: Annotated[str, typer.Option(help="Where the ingress is, for openapi.json.")] = SERVER_URL,
    as_json: AsJson = False,
) -> int:
    """Write openapi.json (OpenAPI 3.1), asyncapi.yaml (AsyncAPI 3.0) and JSON Schemas of records and answers."""
    names = write(folder, server_url)
    emit({"written": names}, as_json=as_json, show=lambda: "\n".join(f"{folder / name}" for name in names))
    return EXIT_DONE
