"""The tool of small changes, as far as it needs no cosmic-ray: what it looks at is there, what it explains stands."""

from __future__ import annotations

import ast

from mutants.planted import ROOT
from mutation.changes import TARGETS, Change, without_notes
from mutation.run import NOTICED, SURVIVED, explained, table


def test_modules_and_their_tests_exist() -> None:
    named = [name for module, tests in TARGETS.items() for name in (module, *tests)]
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_each_explanation_is_about_a_line_that_stands() -> None:
    lines = {
        module: [" ".join(line.split()) for line in (ROOT / module).read_text().splitlines()] for module in TARGETS
    }
    gone = [key for key in explained() if key[2].split(" ")[0] not in " ".join(lines[key[0]])]
    assert gone == []


def test_what_python_does_not_look_at_is_no_change() -> None:
    one = "def f(x: int | None = 1) -> int:\n    return x\n"
    assert ast.dump(without_notes(one)) == ast.dump(
        without_notes(one.replace("int | None", "str").replace("-> int", ""))
    )
    assert ast.dump(without_notes(one)) != ast.dump(without_notes(one.replace("= 1", "= 2")))


def change(line: int, before: str, after: str) -> Change:
    return Change("consumer/verdict.py", "core/NumberReplacer", line, before, after, 0, f"{line}{after}")


def test_the_table_tells_what_was_noticed_explained_and_left() -> None:
    noticed, equal, left, due = (change(number, f"x = {number}", f"x = {number + 1}") for number in range(4))
    verdicts = {noticed.digest: NOTICED, equal.digest: SURVIVED, left.digest: SURVIVED}
    text = table([noticed, equal, left, due], verdicts, {equal.key: "x is never read"})
    assert "| `consumer/verdict.py` | 4 | 1 | 1 | 1 | 1 |" in text
    assert "- `consumer/verdict.py:2`: `x = 2` as `x = 3`\n" in text
    assert "- `consumer/verdict.py:1`: `x = 1` as `x = 2`: x is never read\n" in text
