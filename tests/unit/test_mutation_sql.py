"""The tool of small changes of statements, as far as it needs no pglast."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from mutants.planted import ROOT
from sqlmutation import outcomes as kept_outcomes
from sqlmutation import recording
from sqlmutation.changes import FOLDERS, StatementChange, statements
from sqlmutation.each import RED, _tried
from sqlmutation.outcomes import (
    GREEN,
    NOTICED,
    REFUSED,
    SLOW,
    SURVIVED,
    Outcomes,
    digest_of,
    digest_of_all,
    digest_with,
    explained,
    keep,
)
from sqlmutation.page import table
from sqlmutation.recording import (
    BESIDE,
    NAMES_IT,
    Seen,
    chosen,
    files_with_statements,
    fresh,
    nearness,
    noted_tests,
    recorded,
)
from sqlmutation.run import named, report
from sqlmutation.words import differing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

HERE = "tests/unit/test_mutation_sql.py::test_one"
OTHER = "tests/unit/test_mutation.py::test_two"


def change(number: int = 0, path: str = "consumer/sql/read_mark.sql") -> StatementChange:
    return StatementChange(path, number + 1, f"a = {number}", f"a <> {number}", 0, f"select {number}")


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("select a from b where c = 1 and d", "select a from b where c <> 1 and d", ("b where c = 1 and d",) * 2),
        ("where a and b", "where b", ("where a and b", "where b")),
        ("select 'it''s' from t for update", "select 'it''s' from t", ("'it''s' from t for update", "'it''s' from t")),
        ("limit $1", "", ("limit $1", "")),
        ("a and a", "a", ("a and a", "a")),
    ],
)
def test_what_differs_is_shown_with_three_words_around_it(before: str, after: str, shown: tuple[str, str]) -> None:
    assert differing(before, after) == (shown[0], shown[1].replace("=", "<>") if "<>" in after else shown[1])


def test_all_statements_of_the_folders_are_found_and_each_folder_of_the_product_is_named() -> None:
    assert "consumer/sql/lock_refs.sql" in statements(*FOLDERS)
    assert statements("consumer/sql/lock_refs.sql") == ["consumer/sql/lock_refs.sql"]
    folders = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("[a-z]*/**/sql/*.sql")} - {"ops/bench/sql"}
    assert sorted(folders) == sorted(FOLDERS)


def test_what_is_neither_noticed_nor_explained_ends_a_run_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outcomes, "of", lambda *_: SURVIVED)
    one = change()
    for left, explanation, status in (([one], {}, 1), ([one], {one.key: "why"}, 0), ([], {}, 0)):
        tests = {one.path: [HERE] for one in left}
        assert report(left, tests, explanation, all_places=False, page=False) == status


def test_each_explanation_is_about_a_statement_that_stands_and_no_other_word_is_asked() -> None:
    assert [key for key in explained() if not (ROOT / key[0]).is_file() or key[0] not in statements(*FOLDERS)] == []
    assert [key for key, because in explained().items() if not because] == []


def test_tests_are_noted_with_their_seconds_and_statements() -> None:
    printed = "0.25s setup    tests/a.py::one\n0.50s call     tests/a.py::one[x y]\n1.00s call     tests/a.py::one\n"
    noted = "tests/a.py::one\tconsumer/sql/x.sql\ntests/a.py::one\tops/sql/y.sql\ntests/a.py::two\tops/sql/y.sql\n"
    assert noted_tests(printed, noted) == [
        Seen("tests/a.py::one", 1.25, frozenset({"consumer/sql/x.sql", "ops/sql/y.sql"})),
        Seen("tests/a.py::two", 0.0, frozenset({"ops/sql/y.sql"})),
    ]


def test_tests_that_noticed_come_first_then_those_of_its_name_then_the_quickest_of_each_file() -> None:
    def seen(test: str, seconds: float, path: str = "x.sql") -> Seen:
        return Seen(test, seconds, frozenset({path}))

    tests = [seen("a::1", 1), seen("a::2", 2), seen("b::1", 3), seen("b::2", 9), seen("c::1", 0.1, "y.sql")]
    assert chosen("x.sql", tests, [], 100, {}) == ["a::1", "b::1", "a::2", "b::2"]
    assert chosen("x.sql", tests, ["b::2"], 100, {}) == ["b::2", "a::1", "b::1", "a::2"]
    assert chosen("x.sql", tests, ["b::2"], 6, {}) == ["a::1", "b::1", "a::2"], "it chooses none: outcomes are of all"
    assert chosen("x.sql", tests, [], 1, {"b::2": NAMES_IT}) == ["b::2", "a::1"]
    assert chosen("x.sql", tests, [], 9, {"b::2": BESIDE}) == ["b::2"]
    assert chosen("x.sql", tests, [], 0, {}) == ["a::1"], "one is run, however long it takes"
    assert chosen("z.sql", tests, [], 100, {}) == []


def test_a_test_is_about_a_statement_whose_name_its_function_has() -> None:
    first, second = 'def test_a() -> None:\n    run("x")\n\n\nNAME = "y"', 'def test_b(\n    one: int\n):\n    run("y")'
    text = f"{first}\n\n\nasync {second}"
    tests = ["t.py::test_a", "t.py::test_b[x]", "t.py::test_gone"]
    assert nearness("x", tests, lambda _: text) == dict.fromkeys(tests, BESIDE) | {tests[0]: NAMES_IT}
    assert nearness("y", tests, lambda _: text) == dict.fromkeys(tests, BESIDE) | {tests[1]: NAMES_IT}
    assert nearness("z", tests, lambda _: text) == {}


def test_what_is_noted_of_a_file_is_fresh_until_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "noted.jsonl"
    assert recorded(file) == {}
    assert fresh(file) == set()
    own, other = "tests/unit/test_mutation_sql.py", "tests/unit/test_mutation.py"
    lines = [
        {"file": own, "digest": digest_of((ROOT / own).read_text()), "tests": [["t", 0.5, ["x.sql"]]]},
        {"file": other, "digest": "of another text", "tests": []},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert recorded(file) == {own: [Seen("t", 0.5, frozenset({"x.sql"}))], other: []}
    assert fresh(file) == {own}


def test_files_that_ask_a_database_are_found_those_of_the_integration_tests_first() -> None:
    found = files_with_statements()
    assert found[0].startswith("tests/integration/")
    assert "tests/integration/test_sweeper.py" in found
    assert "tests/unit/test_fold.py" not in found


def test_what_is_noted_by_the_copy_is_what_was_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: dict[str, object] = {}
    source = (ROOT / "runtime" / "sql.py").read_text() + recording.NOTING
    seen = tmp_path / "seen.txt"
    monkeypatch.setenv(recording.VARIABLE, str(seen))
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/a.py::one[x y] (call)")
    exec(source, module)
    for _ in range(2):
        assert "wake_marks" in module["statement"]("consumer", "delete_marks")  # type: ignore[operator]
    module["statement"]("consumer.dispatcher", "trim_refetches")  # type: ignore[operator]
    assert seen.read_text().splitlines() == [
        "tests/a.py::one[x y]\tconsumer/sql/delete_marks.sql",
        "tests/a.py::one[x y]\tconsumer/dispatcher/sql/trim_refetches.sql",
    ]


def test_what_one_file_noticed_stays_while_it_is_the_same_and_none_noticed_counts_for_all(tmp_path: Path) -> None:
    file, tests = tmp_path / "kept" / "outcomes.jsonl", [HERE, OTHER]
    noticed, left, slow, refused, due = (change(number) for number in range(5))
    keep({"digest": digest_with(noticed.text, [HERE]), "verdict": NOTICED, "by": HERE, **named(noticed)}, file)
    keep({"digest": digest_of_all(left.text, tests), "verdict": SURVIVED, "by": "", **named(left)}, file)
    keep({"digest": digest_of_all(slow.text, tests), "verdict": SLOW, "by": "", **named(slow)}, file)
    keep({"digest": digest_of(refused.text), "verdict": REFUSED, "path": refused.path}, file)
    keep({"digest": "of an older file", "verdict": NOTICED, "by": HERE, **named(due)}, file)
    found = Outcomes(file)
    assert [found.of(one, tests) for one in (noticed, left, slow, refused, due)] == [
        *(NOTICED, SURVIVED, SLOW, REFUSED),
        None,
    ]
    assert [found.of(one, [HERE]) for one in (noticed, left)] == [NOTICED, None]
    assert found.of(left, [HERE.replace("one", "two"), OTHER]) is None, "another test of these files may notice it"
    assert found.noticers(noticed.path) == [HERE]
    assert found.noticers("ops/sql/list_tokens.sql") == []


def test_which_tests_fail_without_a_change_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.jsonl"
    assert Outcomes(file).red("select 1", [HERE]) is None
    keep({"digest": digest_of_all("select 1", [HERE]), "verdict": GREEN, "red": [HERE], "path": "x.sql"}, file)
    assert Outcomes(file).red("select 1", [HERE]) == [HERE]
    assert Outcomes(file).red("select 2", [HERE]) is None


def test_the_table_counts_by_folder_and_what_is_read_to_the_end() -> None:
    shown = [change(number) for number in range(5)] + [change(5, "ops/sql/read_chains.sql")]
    verdicts = dict(zip(shown, [NOTICED, SLOW, SURVIVED, SURVIVED, REFUSED, None], strict=True))
    text = table(shown, verdicts.get, {shown[2].key: "nobody reads it"})
    assert "| `consumer/sql` | 1 |  | 4 | 2 | 1 | 1 |  |\n" in text
    assert "| `ops/sql` | 1 |  | 1 |  |  |  | 1 |\n" in text
    assert "| `consumer/sql` | 1 | 1 | 2 | 2 |  |  |  |\n" in table(shown[:2], verdicts.get, {})


def test_work_in_a_fork_tells_what_failed_and_what_took_too_long() -> None:
    def fail() -> list[str]:
        raise RuntimeError("left open")

    def wait() -> list[str]:
        import threading

        threading.Event().wait(60)
        return []

    assert _tried(list, 60) == []
    assert _tried(lambda: ["tests/a.py::one"], 60) == ["tests/a.py::one"]
    assert _tried(fail, 60) == [f"{RED}: RuntimeError: left open"]
    assert _tried(wait, 0.1) is None
    assert kept_outcomes.SLOW == "endless"
