"""The values of our records as JSON Schemas, from the models that check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from schemas import metadata
from schemas.changes import Change, State
from schemas.commands import CommandRecord
from schemas.events import ALL as EVENTS
from schemas.intents import COMMAND_BODIES, Command, IntentRecord

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode

Json = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DEFS: Final = "#/$defs/{model}"


def definitions(ref_template: str) -> Json:
    """Return the models of all records by name; `ref_template` is where references to `{model}` lead."""
    read: tuple[type[BaseModel], ...] = (Change, State, CommandRecord)
    written: tuple[type[BaseModel], ...] = (IntentRecord, *COMMAND_BODIES.values(), *dict.fromkeys(EVENTS.values()))
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in read]
    wanted += [(model, "validation") for model in written]
    _, found = models_json_schema(wanted, ref_template=ref_template)
    models: Json = found["$defs"] | {"Metadata": metadata.json_schema()}
    for model in COMMAND_BODIES.values():
        models[model.__name__]["properties"]["metadata"] = {"$ref": ref_template.format(model="Metadata")}
    shape = models[IntentRecord.__name__]
    names = {command: f"{command.value.title()}Record" for command in COMMAND_BODIES}
    models |= {names[command]: _command(shape, command, ref_template) for command in COMMAND_BODIES}
    models[IntentRecord.__name__] = {
        "title": shape["title"],
        "description": shape["description"],
        "oneOf": [{"$ref": ref_template.format(model=name)} for name in names.values()],
    }
    del models[Command.__name__]
    return models


def _command(shape: Json, command: Command, ref_template: str) -> Json:
    """Return a record of one command, with its body: a shape of its own, so that generators make a type of it."""
    body = COMMAND_BODIES[command].__name__
    own: Json = {
        "command": {"const": command.value, "title": "Command", "type": "string"},
        "body": {"$ref": ref_template.format(model=body)},
    }
    description = f"The command `{command.value}`, about the payment `id`."
    return shape | {
        "title": f"{command.value.title()}Record",
        "description": description,
        "properties": shape["properties"] | own,
    }


def event() -> Json:
    """Return the value of a record of `payments.events`: one of the vocabulary's shapes, which its `ce_type` names."""
    shapes = dict.fromkeys(model.__name__ for model in EVENTS.values())
    return _with_all(list(shapes), {"anyOf": [{"$ref": DEFS.format(model=name)} for name in shapes]})


def standalone(name: str) -> Json:
    """Return one model as a schema of its own, with all that it refers to."""
    return _with_all([name], {"$ref": DEFS.format(model=name)})


def _with_all(names: list[str], schema: Json) -> Json:
    models = definitions(DEFS)
    needed, waiting = set[str](), names
    while waiting:
        needed.update(waiting)
        waiting = [other for other in _named(models, needed) if other not in needed]
    return {
        "$schema": DIALECT,
        **schema,
        "$defs": {other: models[other] for other in sorted(needed)},
    }


def _named(models: Json, names: set[str]) -> list[str]:
    """Return the models that these refer to."""
    prefix = DEFS.format(model="")
    return [reference.removeprefix(prefix) for name in sorted(names) for reference in _references(models[name])]


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [one for value in node.values() for one in _references(value)]
    return [one for value in node for one in _references(value)] if isinstance(node, list) else []
