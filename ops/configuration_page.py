"""docs/configuration.md: every setting, with its meaning, type, bound and default, made from `runtime.settings`.

A setting's meaning is the text below it in its class. `make configuration` writes the page; a test compares it with the
settings, so that none is left out.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

PAGE: Final = Path("docs") / "configuration.md"
HEAD: Final = """# Configuration

Every setting, made from `runtime/settings/` by `make configuration`. [README](../README.md#configuration) explains the
ones that are needed first.

Each is an environment variable, or stands in the TOML file that `RATCHET_CONFIG` names: `RATCHET_INGRESS__BIND` is
`bind` in the table `[ingress]`. The environment wins. Lists and tables are JSON in the environment. An unknown name, or
a value that can never work, refuses to start and is named. A name ends in its unit.

"""
WORDS: Final = {
    bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path", SecretStr: "secret",
}  # fmt: skip
CLASSES: Final = {"IPvAnyNetwork": "network (CIDR)", "Secret": "secret"}
KEYS: Final = {"providers": "<PROVIDER>", "accounts": "<ACCOUNT>", "clients": "<CLIENT>"}
"""What stands in the place of a mapping's key."""


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_sections("RATCHET_", Settings)) + "\n"


def _sections(prefix: str, model: type[BaseModel], title: str = "General") -> Iterator[str]:
    """Yield a model's section, and then those of the models in it."""
    fields = {(field.alias or name).upper(): (name, field) for name, field in model.model_fields.items()}
    inner = {name: found for name, (_, field) in fields.items() if (found := group_of(field.annotation)) is not None}
    yield f"## {title}\n"
    if model is not Settings:
        yield f"{inspect.getdoc(model)}\n"
    yield "| name | meaning | value | default |\n|---|---|---|---|"
    meanings = descriptions(model)
    for name, (own, field) in fields.items():
        if name not in inner:
            yield f"| `{prefix}{name}` | {meanings.get(own, '')} | {_value(field)} | {_default(field)} |"
    yield ""
    for name, found in inner.items():
        key = f"{KEYS[fields[name][0]]}__" if _is_mapping(fields[name][1].annotation) else ""
        below = f"{prefix}{name}__{key}"
        yield from _sections(below, found, f"`{below}`")


@lru_cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return what stands below each field of a model, or of one that it extends, as one line."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if one.__module__.startswith(Settings.__module__):
            (written,) = ast.parse(inspect.getsource(one)).body
            found |= dict(_described(getattr(written, "body", [])))
    return found


def _described(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())


def group_of(annotation: Any) -> type[BaseModel] | None:
    """Return the group that a field is, or the groups that its mapping holds."""
    if _is_mapping(annotation):
        return group_of(get_args(annotation)[1])
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is Mapping


def _value(field: FieldInfo) -> str:
    bounds = [_bound(one) for one in field.metadata]
    return ", ".join([_type(field.annotation), *(one for one in bounds if one)])


def _bound(found: Any) -> str:
    """Say a bound in words; what checks a text has no words."""
    for name, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("min_length", "length at least")):
        if (value := getattr(found, name, None)) is not None:
            return f"{words} {value:g}"
    return ""


def _type(annotation: Any) -> str:
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part is not NoneType]
    if origin is Annotated:
        return _type(parts[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_type, parts)))
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin is Mapping:
        return f"table of {_type(parts[1])}"
    return WORDS.get(annotation) or CLASSES.get(annotation.__name__, "text")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value:.10g}`" if isinstance(value, float) else f"`{value}`"


def main(path: str) -> None:
    """Write the page."""
    Path(path).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
