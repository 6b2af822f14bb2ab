"""What a unit test may not do, so that `pytest tests/unit` takes a minute: start Python, or work for seconds."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import profiles

if TYPE_CHECKING:
    from collections.abc import Iterator

CPU_SECONDS_MAX: Final = 5.0
"""The slowest takes 1 to 2; on cores that others use too a test takes up to twice as much CPU as alone."""
PROGRAMS: Final = ("git", "sh")
"""What may be started: each is there and gone in milliseconds."""

_begin = subprocess.Popen.__init__


def _refuse(self: Any, args: Any, *rest: Any, **options: Any) -> None:
    program = args if isinstance(args, str | bytes | os.PathLike) else args[0]
    name = os.path.basename(os.fsdecode(program))  # noqa: PTH119 - also of bytes
    if name not in PROGRAMS:
        raise AssertionError(f"a unit test starts {name}: what starts processes belongs into tests/process")
    _begin(self, args, *rest, **options)


@contextmanager
def bounded(cpu_seconds_max: float = CPU_SECONDS_MAX) -> Iterator[None]:
    """Refuse to start a process; raise AssertionError after more work than that, unless many examples are asked for."""
    began = time.process_time()
    subprocess.Popen.__init__ = _refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        subprocess.Popen.__init__ = _begin  # type: ignore[method-assign]
    took = time.process_time() - began
    if took > cpu_seconds_max and profiles.chosen() == "dev":
        raise AssertionError(
            f"{took:.1f} s of CPU: a unit test may take {cpu_seconds_max:g} s; ask for less, or mark it slow elsewhere"
        )
