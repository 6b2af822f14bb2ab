"""What pages name exists: files, modules, functions, targets of make, commands. CHANGELOG tells of what is gone too."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import markdown_pages as markdown
import pytest
import typer.main
from markdown_pages import ROOT
from typer.core import TyperGroup

from ops.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

PAGES = [page for page in markdown.pages() if page != "CHANGELOG.md" and not page.startswith("docs/providers/")]
PACKAGES = ("schemas", "providers", "runtime", "producers", "consumer", "ops")
FENCED = re.compile(r"(?ms)^( *)```[^\n]*\n(.*?)^\1```")
PATH = re.compile(r"(?<![\w./:-])(?:[\w.*-]+/)+[\w.*-]*(?![\w/])")
FILE = re.compile(r"(?<![\w./-])[a-z_][\w-]*\.(?:py|sql|patch)\b")
MODULE = re.compile(r"(?<![\w./-])((?:" + "|".join(PACKAGES) + r")(?:\.\w+)+)(?:\(\))?")
RUN_MODULE = re.compile(r"-m ((?:\w+\.)*\w+)")
MAKE = re.compile(r"(?:^|[;&|] *)make ((?:[A-Z_]+=\S+ )*)([a-z][a-z-]*)", re.MULTILINE)
COMMAND = re.compile(r"(?:^ *|bin/|; )ratchet((?: [a-z][a-z-]*)+)", re.MULTILINE)
PLACEHOLDER = re.compile(r"[A-Z]{3,}|NNNN")
ELSEWHERE = {
    "deploy/.env": "whoever deploys writes it",
    "deploy/secrets": "whoever deploys writes it",
    "deploy/ratchet-relay": "a deployment of Kubernetes",
    "schemas/3.0.0.json": "a file of AsyncAPI's own repository",
}
"""What looks like a path of ours and is none."""
THEIR_MODULES = ("pytest", "pip", "venv", "mypy", "ratchet_client", "http.server")


@lru_cache
def files() -> frozenset[str]:
    """Return what the checkout holds, by path from its top: files and folders."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return frozenset(listed) | {str(parent) for path in listed for parent in PurePosixPath(path).parents}


@lru_cache
def texts() -> list[str]:
    """Return the text of each Python file of our packages, the tests and the clients."""
    return [(ROOT / path).read_text(encoding="utf-8") for path in sorted(files()) if path.endswith(".py")]


@cache
def is_named_in_code(word: str) -> bool:
    """Tell whether a class, function or assigned name is called so anywhere.

    Only files that hold the word are parsed, those first in which it looks like a definition.
    """
    holding = [text for text in texts() if word in text]
    holding.sort(key=lambda text: f"def {word}(" not in text and f"class {word}" not in text)
    return any(word in names_in(text) for text in holding)


@cache
def names_in(text: str) -> frozenset[str]:
    """Return every class, function and assigned name of a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return frozenset(found)


@lru_cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))


def groups(command: object, words: str = "") -> Iterator[str]:
    """Yield every command and every group of commands, as its words."""
    yield words.strip()
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for word in command.list_commands(context):
            yield from groups(command.get_command(context, word), f"{words} {word}")


COMMANDS = frozenset(groups(typer.main.get_command(app)))


def code_of(page: str) -> list[str]:
    """Return what a page sets in code font, and its blocks of code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return markdown.code_in(FENCED.sub("", text)) + [match[2] for match in FENCED.finditer(text)]


def wrong_in(code: str, page: str) -> Iterator[str]:
    """Yield what a piece of a page's code names and is not there."""
    yield from (path for path in PATH.findall(code) if not is_there(path, page))
    yield from (name for name in FILE.findall(code) if not any(path.endswith(f"/{name}") for path in files()))
    yield from (name for name in MODULE.findall(code) if not is_module(name))
    yield from (f"-m {name}" for name in RUN_MODULE.findall(code) if not is_run(name))
    yield from (f"make {name}" for _, name in MAKE.findall(code) if name not in targets())
    yield from (f"ratchet{words}" for words in COMMAND.findall(code) if not is_command(words.split()))


def is_there(path: str, page: str) -> bool:
    """Tell whether a path is one of the checkout, seen from its top or from the page; only our folders are asked of."""
    path = path.rstrip("/.")
    if path.partition("/")[0] not in files() or PLACEHOLDER.search(path) or path in ELSEWHERE:
        return True
    if "*" in path:
        return any(ROOT.glob(path))
    return path in files() or str(PurePosixPath(page).parent / path) in files()


def is_module(name: str) -> bool:
    """Tell whether a dotted name is a module or something of one."""
    parts = name.split(".")
    for depth in range(len(parts), 1, -1):
        path = "/".join(parts[:depth])
        if f"{path}.py" in files() or path in files():
            return all(is_named_in_code(part) or f"{path}/sql/{part}.sql" in files() for part in parts[depth:])
    return len(parts) == 2 and is_named_in_code(parts[1])


def is_run(name: str) -> bool:
    path = name.replace(".", "/")
    own = (f"{path}.py", f"{path}/__main__.py", f"tests/{path}.py")
    return name.startswith(THEIR_MODULES) or any(one in files() for one in own)


def is_command(words: list[str]) -> bool:
    """Tell whether the words begin with a command; what follows a command itself is its arguments."""
    return any(" ".join(words[:count]) in COMMANDS for count in range(1, len(words) + 1))


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    assert sorted({name for code in code_of(page) for name in wrong_in(code, page)}) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("consumer/fold.py", []),
        ("consumer/gone.py", ["consumer/gone.py"]),
        ("tests/unit/test_fold*.py", []),
        ("tests/nowhere/*.py", ["tests/nowhere/*.py"]),
        ("gone.py", ["gone.py"]),
        ("schemas.record.source_of()", []),
        ("schemas.record.no_such_thing()", ["schemas.record.no_such_thing"]),
        ("consumer.no_such_thing", ["consumer.no_such_thing"]),
        ("python -m runtime.schema_dump", []),
        ("python -m runtime.no_such_thing", ["runtime.no_such_thing", "-m runtime.no_such_thing"]),
        ("make test ARGS=1", []),
        ("make tea", ["make tea"]),
        (".venv/bin/ratchet dlq list --json", []),
        ("ratchet payment show pi_1", []),
        ("ratchet gone by", ["ratchet gone by"]),
    ],
)
def test_what_is_not_there_is_seen(code: str, found: list[str]) -> None:
    assert list(wrong_in(code, "README.md")) == found
