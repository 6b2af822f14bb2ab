"""Shares the tests' files out to workers of pytest-xdist, and gives up on a test that kills its worker.

pytest-xdist's own scheduler hands such a test to the next worker, and that one's to the next, until as many workers are
dead as it allows; a file that was finished before it hands out again with nothing to do, and waits for ever; and of two
workers that came for dead ones, the first one ready makes it ask the other for what it has not collected yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController


class FileScheduling(LoadFileScheduling):
    """Whole files, in the order of the collection; a test that was running when its worker died is not run again."""

    def remove_node(self, node: WorkerController) -> str | None:
        work: dict[str, dict[str, bool]] = self.assigned_work[node]
        left = {file: [test for test, done in tests.items() if not done] for file, tests in work.items()}
        running = next((tests[0] for tests in left.values() if tests), None)
        for file, tests in left.items():
            if running in tests:
                work[file][running] = True
                tests = tests[1:]  # noqa: PLW2901
            if not tests:
                del work[file]
        super().remove_node(node)
        return running

    def _reschedule(self, node: WorkerController) -> None:
        """Give a worker that came for a dead one nothing before it has collected the tests itself."""
        if node in self.registered_collections:
            super()._reschedule(node)


def make(config: Any, log: Any) -> FileScheduling | None:
    """Return the scheduler of `--dist loadfile`; None leaves other ways to pytest-xdist."""
    return FileScheduling(config, log) if config.getoption("dist") == "loadfile" else None
