"""The benchmark at a small size: every contender's rows are right, and its figures are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.bench.contenders import STANDARD
from ops.bench.workload import make_workload

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_contenders_process_the_same_truth(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ops.bench.run",
            "--events",
            "2000",
            "--rounds",
            "1",
            "--publish",
            str(tmp_path / "out"),
        ],
        cwd=ROOT,
        env=environment | {"RATCHET_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert set(report["contenders"]) == {one.name for one in STANDARD}
    for contender in report["contenders"].values():
        rate = contender["events_per_second"]
        assert 0 < rate["min"] <= rate["median"] <= rate["max"]
        assert set(contender["cpu_microseconds_per_event_by"]) == {"process", "postgres", "kafka"}
    assert set(report["ratios"]) >= {f"{name}/naive" for name in report["contenders"]} - {"naive/naive"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"bench.json", "bench.svg"}


def test_a_workload_is_what_its_seed_says() -> None:
    one, same, other = make_workload(500, 1), make_workload(500, 1), make_workload(500, 2)
    assert one == same
    assert one.records != other.records
    assert len(one.records) >= 500
    assert one.events < len(one.records)
