"""Every seed and every kept input of `make fuzz`, put to its target; and that a target notices a fault."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from consumer import decode
from fuzz import run, seeds
from fuzz.targets import TARGETS
from ops.console import choosing

pytestmark = pytest.mark.unit

FILES_MAX, BYTES_MAX = 60, 4096


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_and_every_kept_input(name: str) -> None:
    for data in seeds.of(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_moment_of_changed_seeds(name: str) -> None:
    _, shown = run.blindly(name, 0.2, random.Random(20261127))
    assert shown is None


def test_the_corpus_is_small_and_each_file_belongs_to_a_target() -> None:
    folders = [folder for folder in seeds.CORPUS.iterdir() if folder.is_dir()]
    assert {folder.name for folder in folders} <= TARGETS.keys()
    for folder in folders:
        files = list(folder.iterdir())
        assert len(files) <= FILES_MAX
        assert all(file.stat().st_size <= BYTES_MAX for file in files)


def test_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "math", SimpleNamespace(isfinite=lambda _: True))
    _, shown = run.blindly("forms", 5, random.Random(1))
    assert shown is not None


def test_a_raised_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "identity_of", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        TARGETS["records"](seeds.of("records")[0])
