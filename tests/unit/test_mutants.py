"""The planted faults of tests/mutants fit the tree as it is, and what they expect to notice them exists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mutants import planted, trial
from mutants.planted import AREAS, ROOT, UnfitError
from mutants.results import BEGIN, END, GREEN, Results, key_of, table, write_page
from mutants.run import choose
from mutants.trial import KILLED, SURVIVED, Outcome

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

FAULTS = planted.load()
SHIPPED = {"schemas", "providers", "runtime", "producers", "consumer", "ops", "migrations", "deploy", "clients"}
TEXT = """\
Harm: Money is counted
    twice.
Breaks: exactly one effect
Tests: tests/unit/test_mutants.py::test_a_patch_is_read
    tests/unit/test_fold.py

--- a/one.py
+++ b/one.py
@@ -2,3 +2,3 @@
 a = 1
-b = 2
+b = 3
 c = 4
"""


def test_every_fault_fits_the_tree_and_changes_what_is_shipped() -> None:
    """One test for all: as many as there are faults would take far longer than they do."""
    unfit = []
    for fault in FAULTS:
        try:
            planted.planted(fault, ROOT)
        except UnfitError as error:
            unfit.append(f"{fault.name}: {error}")
        if not {path.partition("/")[0] for path in fault.paths} <= SHIPPED:
            unfit.append(f"{fault.name}: {sorted(fault.paths)} are not all shipped")
    assert unfit == []


def test_every_fault_names_tests_that_exist() -> None:
    assert {fault.name: unknown for fault in FAULTS if (unknown := planted.unknown_tests(fault))} == {}


def test_every_area_has_faults_and_no_two_plant_the_same() -> None:
    assert {fault.area for fault in FAULTS} == set(AREAS), "a name begins with its area"
    assert len({fault.hunks for fault in FAULTS}) == len(FAULTS)


def test_a_patch_is_read() -> None:
    fault = planted.read("consumer-one", TEXT)
    assert fault.harm == "Money is counted twice."
    assert fault.tests == ("tests/unit/test_mutants.py::test_a_patch_is_read", "tests/unit/test_fold.py")
    assert fault.hunks == (planted.Hunk("one.py", 1, ("a = 1", "b = 2", "c = 4"), ("a = 1", "b = 3", "c = 4")),)
    assert not fault.needs_brokers


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("Breaks", "Brakes"),
        TEXT.replace("Tests: tests/unit/test_mutants.py::test_a_patch_is_read\n    tests/unit/test_fold.py", "Tests:"),
        TEXT.partition("--- a/")[0],
        TEXT.replace("+b = 3", "+b = 2"),
        TEXT.replace("+b = 3", "?b = 3"),
    ],
)
def test_a_patch_that_is_not_written_as_it_should_be_is_refused(text: str) -> None:
    with pytest.raises(UnfitError):
        planted.read("consumer-one", text)


def test_a_patch_fits_where_its_lines_moved_and_no_more_where_they_changed(tmp_path: Path) -> None:
    fault = planted.read("consumer-one", TEXT)
    file = tmp_path / "one.py"
    with pytest.raises(UnfitError, match="there is no"):
        planted.planted(fault, tmp_path)
    file.write_text("\n\n\n\na = 1\nb = 2\nc = 4\n")
    assert planted.planted(fault, tmp_path) == {"one.py": "\n\n\n\na = 1\nb = 3\nc = 4\n"}
    file.write_text("\na = 1\nb = 5\nc = 4\n")
    with pytest.raises(UnfitError, match="are no more"):
        planted.planted(fault, tmp_path)


def test_of_lines_that_stand_twice_the_number_decides(tmp_path: Path) -> None:
    fault = planted.read("consumer-one", TEXT)
    file = tmp_path / "one.py"
    block = "a = 1\nb = 2\nc = 4\n"
    file.write_text("\n" + block + block)
    assert planted.planted(fault, tmp_path) == {"one.py": "\na = 1\nb = 3\nc = 4\n" + block}
    file.write_text("\n\n" + block + block)
    with pytest.raises(UnfitError, match="stand 2 times"):
        planted.planted(fault, tmp_path)


def test_tests_that_are_not_there_are_reported() -> None:
    text = TEXT.replace("test_a_patch_is_read", "test_nothing").replace("test_fold.py", "test_none.py")
    fault = planted.read("consumer-one", text)
    assert planted.unknown_tests(fault) == ["tests/unit/test_mutants.py::test_nothing", "tests/unit/test_none.py"]


def test_faults_are_chosen_by_name_by_what_changed_and_by_what_they_need() -> None:
    one = planted.read("consumer-one", TEXT)
    far = planted.read("relay-far", TEXT.replace("one.py", "far.py").replace("unit/test_fold", "fault/test_far"))
    both = [one, far]
    assert choose(both, [], None) == both
    assert choose(both, ["relay-*"], None) == [far]
    assert choose(both, [], frozenset({"one.py"})) == [one]
    assert choose(both, [], frozenset({"tests/fault/test_far.py"})) == [far]
    assert choose(both, [], frozenset({"README.md"})) == []
    assert choose(both, [], None, brokers=False) == [one]
    assert choose(both, [], None, brokers=True) == [far]


def test_a_test_that_failed_belongs_to_its_function_and_its_file() -> None:
    for test in ("tests/unit/test_a.py", "tests/unit/test_a.py::test_b", "tests/unit/test_a.py::test_b[1]"):
        assert trial.belongs("tests/unit/test_a.py::test_b[1]", test)
    for test in ("tests/unit/test_a.py::test", "tests/unit/test_a.py::test_bc", "tests/unit/test_a"):
        assert not trial.belongs("tests/unit/test_a.py::test_b[1]", test)


def test_results_are_kept_and_hold_until_something_changes(tmp_path: Path) -> None:
    fault = planted.read("consumer-one", TEXT)
    file = tmp_path / "results.jsonl"
    Results(file).keep(fault, Outcome("consumer-one", "consumer", SURVIVED, 1.26, printed="3 passed"))
    assert not Results(file).sound(fault, [KILLED])
    Results(file).keep(fault, Outcome("consumer-one", "consumer", KILLED, 1.26, noticed_by="test_one.py::test_b"))
    kept = Results(file).of(fault)
    assert kept is not None
    assert kept.outcome == Outcome("consumer-one", "consumer", KILLED, 1.3, "test_one.py::test_b"), "the last counts"
    file.write_text(file.read_text() + '{"name": "consumer-one", "output": "of before", "day": "", "key": ""}\n')
    assert Results(file).sound(fault, [KILLED])
    assert not Results(file).sound(planted.read("consumer-one", TEXT.replace("+b = 3", "+b = 4")), [KILLED])


def test_the_key_of_a_result_is_of_the_files_that_it_depends_on(tmp_path: Path) -> None:
    fault = planted.read("consumer-one", TEXT)
    file, test = tmp_path / "one.py", tmp_path / "tests/unit/test_fold.py"
    test.parent.mkdir(parents=True)
    keys = {key_of(fault, tmp_path)}
    for path, text in ((file, "a = 1\n"), (file, "a = 2\n"), (test, "b = 1\n"), (tmp_path / "two.py", "c = 1\n")):
        path.write_text(text)
        keys.add(key_of(fault, tmp_path))
    assert len(keys) == 4, "another file changes nothing"


def test_the_page_counts_what_was_run_and_names_what_survived(tmp_path: Path) -> None:
    one = planted.read("consumer-one", TEXT)
    two, three, four = (planted.read(name, TEXT) for name in ("consumer-two", "relay-three", "relay-four"))
    results = Results(tmp_path / "results.jsonl")
    for fault, verdict in ((one, KILLED), (two, SURVIVED), (three, GREEN)):
        results.keep(fault, Outcome(fault.name, fault.area, verdict, 1.0))
    page = tmp_path / "proof.md"
    page.write_text(f"# Proof\n\n{BEGIN}old\n{END}\n\nafter\n")
    write_page(table(results, [one, two, three, replace(four, tests=("tests/unit/none.py",))]), page)
    text = page.read_text()
    assert ": 1 of 4 planted faults were noticed" in text
    assert "| consumer | 2 | 1 | 1 |  |  |  |" in text
    assert "| relay | 2 |  |  |  | 2 |  |" in text
    assert "- `consumer-two`: survived. Money is counted twice." in text
    assert text.startswith("# Proof\n\n<!--")
    assert text.endswith("-->\n\nafter\n")
    assert "old" not in text
    page.write_text("# Proof\n")
    with pytest.raises(SystemExit, match="has no lines"):
        write_page("", page)
