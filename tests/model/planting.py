"""A fix taken out: a planted fault of `tests/mutants`, put into this process and taken out again."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mutants.planted import FOLDER, ROOT, planted, read

from model.stepping import LABELS, label
from runtime import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("consumer", "producers", "runtime", "schemas", "providers")


class _Files:
    """Stands for importlib.resources in `runtime.sql`: some statements are others."""

    def __init__(self, real: Any, texts: dict[str, str]) -> None:
        self._real, self._texts = real, texts

    def files(self, package: str) -> Any:
        return _Folder(self._real.files(package), package, self._texts)


class _Folder:
    def __init__(self, real: Any, package: str, texts: dict[str, str]) -> None:
        self._real, self._package, self._texts = real, package, texts

    def joinpath(self, *parts: str) -> Any:
        text = self._texts.get("/".join((self._package, *parts)))
        return self._real.joinpath(*parts) if text is None else _Text(text)


class _Text:
    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, encoding: str) -> str:
        return self._text


@contextlib.contextmanager
def taken_out(name: str | None) -> Iterator[None]:
    """Run with a fault of that name, or with none."""
    if name is None:
        yield
        return
    texts = planted(read(name, (FOLDER / f"{name}.patch").read_text()), ROOT)
    statements = {path: text for path, text in texts.items() if path.endswith(".sql")}
    label("")
    LABELS.update({text: PurePath(path).stem for path, text in statements.items()})
    real = sql.resources
    with contextlib.ExitStack() as stack:
        if statements:
            sql.resources = _Files(real, statements)  # type: ignore[attr-defined]
            sql.statement.cache_clear()
            stack.callback(sql.statement.cache_clear)
            stack.callback(setattr, sql, "resources", real)
        for path, text in texts.items():
            if path.endswith(".py"):
                stack.enter_context(_replaced(path, text))
        yield


@contextlib.contextmanager
def _replaced(path: str, text: str) -> Iterator[None]:
    """Run a module's changed text in the module, and give what it defines to all who imported it by name."""
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    held = dict(vars(module))
    exec(compile(text, str(ROOT / path), "exec"), vars(module))
    mine = {
        name: (old, vars(module)[name])
        for name, old in held.items()
        if getattr(old, "__module__", None) == module.__name__ and vars(module).get(name) is not old
    }
    changed = []
    for other in [one for name, one in sys.modules.items() if name.partition(".")[0] in OURS and one is not module]:
        for name, (old, new) in mine.items():
            if vars(other).get(name) is old:
                setattr(other, name, new)
                changed.append((other, name, old))
    try:
        yield
    finally:
        for other, name, old in changed:
            setattr(other, name, old)
        vars(module).update(held)
