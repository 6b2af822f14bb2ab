"""Python files as the tests of code read them: each is parsed and walked once, and what stays of it is small.

To keep all trees of the product would take far more memory than what the tests ask of them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
NAME, TEXT, IMPORT, IMPORT_FROM, ATTRIBUTE = "name", "text", "import", "import from", "attribute"


class Function(NamedTuple):
    """A function or method, and how many lines it has, without its decorators."""

    name: str
    lines: int


class Use(NamedTuple):
    """What code names: a name of its own or another's, an import, an attribute, or a text that is no docstring.

    `of` is the module that is imported from, or the name before an attribute's dot where there is one.
    """

    kind: str
    words: tuple[str, ...]
    of: str = ""


@dataclass(frozen=True)
class Source:
    """What stands in a file; `uses` has the first line of each."""

    classes: list[str] = field(default_factory=list)
    """Those that stand by themselves, not in a class or function."""
    functions: list[Function] = field(default_factory=list)
    docstrings: list[str] = field(default_factory=list)
    uses: dict[Use, int] = field(default_factory=dict)


_Found = tuple[str, str | tuple[str, ...], str]
"""A use as it is found, of one word without a tuple of its own: most uses are found many times, and kept once."""

USES: dict[type[ast.AST], Callable[[Any], _Found | None]] = {
    ast.Name: lambda node: (NAME, node.id, ""),
    ast.arg: lambda node: (NAME, node.arg, ""),
    ast.keyword: lambda node: (NAME, node.arg, "") if node.arg else None,
    ast.ClassDef: lambda node: (NAME, node.name, ""),
    ast.FunctionDef: lambda node: (NAME, node.name, ""),
    ast.AsyncFunctionDef: lambda node: (NAME, node.name, ""),
    ast.Attribute: lambda node: (ATTRIBUTE, node.attr, getattr(node.value, "id", "")),
    ast.Constant: lambda node: (TEXT, node.value, "") if isinstance(node.value, str) else None,
    ast.Import: lambda node: (IMPORT, tuple([one.name for one in node.names]), ""),
    ast.ImportFrom: lambda node: (
        IMPORT_FROM, (node.module or "", *(one.name for one in node.names)), node.module or "",
    ),
}  # fmt: skip
"""What a node of each kind names; of the others nothing. By its type: this is asked of half a million nodes."""

FUNCTIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef})
DOCUMENTED = FUNCTIONS | {ast.Module, ast.ClassDef}


def nodes_of(tree: ast.AST) -> Iterator[Any]:
    """Yield a node and all below it that says something, each before what it holds; `ast.walk` takes longer."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        held: list[ast.AST] = []
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                held += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST) and value._fields:
                held.append(value)
        left += reversed(held)


def read(text: str) -> Source:
    """Return what stands in a module's text."""
    tree = ast.parse(text)
    found = Source([node.name for node in tree.body if isinstance(node, ast.ClassDef)])
    alone: set[int] = set()  # values that nobody takes, as docstrings; a statement is walked before its value
    uses: dict[_Found, int] = {}
    for node in nodes_of(tree):
        kind = type(node)
        if kind is ast.Expr:
            alone.add(id(node.value))
        elif kind in FUNCTIONS:
            found.functions.append(Function(node.name, (node.end_lineno or node.lineno) - node.lineno + 1))
        if kind in DOCUMENTED and (docstring := ast.get_docstring(node)):
            found.docstrings.append(docstring)
        names = USES.get(kind)
        if names is not None and id(node) not in alone and (use := names(node)):
            uses.setdefault(use, getattr(node, "lineno", 0))
    for (way, words, of), line in uses.items():
        found.uses[Use(way, words if isinstance(words, tuple) else (words,), of)] = line
    return found


@cache
def source(path: Path) -> Source:
    """Return what stands in a file; it is read once."""
    return read(path.read_text(encoding="utf-8"))


@cache
def python_files(folder: str) -> tuple[Path, ...]:
    """Return every Python file under a folder of the checkout, by its path."""
    return tuple(sorted((ROOT / folder).rglob("*.py")))
