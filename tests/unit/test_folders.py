"""A new home is its user's alone, whichever process makes it, and so is what was made on the way to it."""

from __future__ import annotations

import os
import stat
import uuid
from typing import TYPE_CHECKING

import pytest

from ops import detach, supervisor, up
from runtime.ends import PurposefulEnds
from runtime.folders import make_private
from runtime.lifecycle import RunFile, write_run_file
from runtime.stack import layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit


def hold(home: Path) -> None:
    with up.alone(home):
        pass


MAKERS: dict[str, Callable[[Path], object]] = {
    "up": hold,
    "a role's log": lambda home: supervisor.open_log(home / "log" / "relay.log", 1000).close(),
    "the log of up": lambda home: make_private(detach.log_path(home).parent),
    "a role's run file": lambda home: write_run_file(home, RunFile("relay", 1, 0.0, None, None)),
    "a role's end": lambda home: PurposefulEnds(home, "relay").note(uuid.uuid4()),
    "the brokers": lambda home: layout.make_ready(layout.at(home)),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_new_home_is_its_user_s_alone(tmp_path: Path, maker: str) -> None:
    home = tmp_path / "above" / "home"
    before = os.umask(0)
    try:
        MAKERS[maker](home)
    finally:
        os.umask(before)
    made = [path for path in (home.parent, home, *home.iterdir()) if path.is_dir()]
    assert len(made) >= 2
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in made} == {path.name: "0o700" for path in made}


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path)
    make_private(tmp_path / "in")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
