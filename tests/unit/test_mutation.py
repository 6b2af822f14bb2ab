"""The tool of small changes, as far as it needs no cosmic-ray: what it looks at is there, what it explains stands."""

from __future__ import annotations

import ast

from mutants.planted import ROOT
from mutation.changes import TARGETS, UNREAD, CodeChange, without_notes
from mutation.run import NOTICED, SURVIVED, explained, first_of, held, table, verdict_of


def test_modules_and_their_tests_exist() -> None:
    named = [name for module, tests in TARGETS.items() for name in (module, *tests)]
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_each_explanation_is_about_a_line_that_stands() -> None:
    lines = {
        module: [" ".join(line.split()) for line in (ROOT / module).read_text().splitlines()] for module in TARGETS
    }
    gone = [key for key in explained() if key[2].split(" ")[0] not in " ".join(lines[key[0]])]
    assert gone == []


def test_each_module_is_held_or_named_as_not_read() -> None:
    page = (ROOT / "docs" / "proof.md").read_text()
    assert [module for module in UNREAD if f"`{module}`" not in page] == []
    assert sorted([*held(), *UNREAD]) == sorted(TARGETS)


def test_what_one_file_noticed_stays_noticed_while_that_file_is_the_same() -> None:
    one = change(1, "x = 1", "x = 2")
    file, other = TARGETS[one.path]
    assert verdict_of(one, {}) is None
    assert verdict_of(one, {one.digest_with(file): NOTICED}) == NOTICED
    assert verdict_of(one, {one.digest: SURVIVED}) == SURVIVED
    assert verdict_of(one, {one.digest_with(file): SURVIVED}) is None, "another file may notice it"
    assert len({one.digest, one.digest_with(file), one.digest_with(other)}) == 3


def test_the_test_that_noticed_a_change_runs_first_and_then_those_that_noticed_most() -> None:
    noticed = {"x = 2": "a::rare", "x = 3": "b::often", "x = 4": "b::often"}
    assert first_of(noticed, change(1, "x = 1", "x = 2")) == ["a::rare", "b::often"]
    assert first_of(noticed, change(1, "x = 1", "x = 5")) == ["b::often", "a::rare"]


def test_what_python_does_not_look_at_is_no_change() -> None:
    one = "def f(x: int | None = 1) -> int:\n    return x\n"
    assert ast.dump(without_notes(one)) == ast.dump(
        without_notes(one.replace("int | None", "str").replace("-> int", ""))
    )
    assert ast.dump(without_notes(one)) != ast.dump(without_notes(one.replace("= 1", "= 2")))


def change(line: int, before: str, after: str) -> CodeChange:
    return CodeChange("consumer/verdict.py", line, before, after, 0, f"{line}{after}", "core/NumberReplacer")


def test_the_table_tells_what_was_noticed_explained_and_left() -> None:
    noticed, equal, left, due = (change(number, f"x = {number}", f"x = {number + 1}") for number in range(4))
    verdicts = {noticed.digest: NOTICED, equal.digest: SURVIVED, left.digest: SURVIVED}
    text = table([noticed, equal, left, due], verdicts, {equal.key: "x is never read"})
    assert "| `consumer/verdict.py` | 4 | 1 | 1 | 1 | 1 |" in text
    assert "- `consumer/verdict.py:2`: `x = 2` as `x = 3`\n" in text
    assert "- `consumer/verdict.py:1`: `x = 1` as `x = 2`: x is never read\n" in text
