"""One word, one meaning: no class name stands twice, and no word is used that the field has a plain word for."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import source_files

sys.path.insert(0, str(Path(__file__).parents[1]))
import words

pytestmark = pytest.mark.unit


def classes() -> dict[str, list[str]]:
    """Return the files in which each public class of the product stands."""
    found = defaultdict(list)
    for room in words.ROOMS:
        for path in source_files.python_files(room):
            for name in source_files.source(path).classes:
                if not name.startswith("_"):
                    found[name].append(path.relative_to(words.ROOT).as_posix())
    return dict(found)


@pytest.mark.parametrize("word", sorted(words.INSTEAD))
def test_a_word_that_has_a_plainer_one_is_not_used(word: str) -> None:
    assert words.used().get(word, []) == [], f"write {words.INSTEAD[word]!r}; a name that stays belongs into KEPT"


def test_no_class_name_stands_twice() -> None:
    assert {name: paths for name, paths in classes().items() if len(paths) > 1} == {}


def test_words_within_names_are_seen() -> None:
    assert {"door", "lane", "told", "settle", "desk"} <= words.words_in("FrontDoor lanes _told_ SETTLE_SECONDS desk's")
    assert not {"told", "desk"} & words.words_in("untold desktop")


@pytest.mark.parametrize("kept", words.KEPT, ids=lambda kept: kept.text)
def test_what_stays_is_still_there(kept: words.Kept) -> None:
    texts = [(words.ROOT / path).read_text(encoding="utf-8") for path in words.files() if path.startswith(kept.places)]
    found = {match.group() for text in texts for match in re.finditer(kept.text, text, re.IGNORECASE)}
    assert any(words.words_in(one) & words.INSTEAD.keys() for one in found), "no file holds it any more"


def test_a_name_that_stays_hides_no_other_word() -> None:
    path = "consumer/marks.py"
    assert "careful_until" in (words.ROOT / path).read_text(encoding="utf-8")
    assert "careful" not in words.words_in(words.counted(path))
    assert "place" in words.words_in(words.counted(path))


@pytest.mark.parametrize("one", words.ONE_MEANING, ids=lambda one: one.words[0])
def test_a_word_of_one_meaning_is_in_names_of_that_alone(one: words.OneMeaning) -> None:
    assert words.out_of_place(one) == [], f"it means {one.means!r} alone; see docs/decisions/0048"


@pytest.mark.parametrize("one", words.ONE_MEANING, ids=lambda one: one.words[0])
def test_a_word_of_one_meaning_is_still_where_it_may_be(one: words.OneMeaning) -> None:
    assert one.places, "a word that no name may bear belongs into INSTEAD"
    texts = {path: (words.ROOT / path).read_text(encoding="utf-8").lower() for path in words.files()}
    assert [
        place
        for place in one.places
        if not any(path.startswith(place) and one.words[0] in texts[path] for path in texts)
    ] == []


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("one.py", 'CLAIM = "claim"  # claimed\n', {"one.py", "CLAIM"}),
        (
            "claim.sql",
            "-- a claim\nselect claim from t where x = 'claims'",
            {"claim.sql", "select", "claim", "from", "t", "where", "x"},
        ),
    ],
)
def test_names_are_told_from_texts(
    file: str, text: str, names: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "ROOT", tmp_path)
    (tmp_path / file).write_text(text)
    assert words.names_in(file) == names


def test_what_a_payment_is_found_by_is_a_reference_and_no_name() -> None:
    found = [
        f"{path}: {match}"
        for path in words.files()
        if path.startswith(words.ROOMS) and path.endswith(".py")
        for match in re.findall(r"\w*names?: [^=\n]*RefKey.*", (words.ROOT / path).read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_a_test_is_given_is_called_so_or_a_harness_or_a_client() -> None:
    found = [
        f"{path}: {name}"
        for path in words.files()
        if path.startswith("tests/")
        for name in re.findall(r"(?m)^class (\w*(?:Bench|Desk|Scene|Stage))\b", words.counted(path))
    ]
    assert found == [], "bench is what measures, and stage a part of a dispute"
