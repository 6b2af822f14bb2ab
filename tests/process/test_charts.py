"""Charts: matplotlib brings numpy along, whose random numbers every property test seeds anew from then on."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from soak.page import page_of, read, write
from soak_run import END, HEAD, look

from ops.bench import chart, figures
from ops.bench.figures import Round

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


def test_the_chart_is_a_picture_with_every_name(tmp_path: Path) -> None:
    names = ("naive", "faststream", "faststream-workers", "ratchet", "ratchet-2p", "floor-2")
    rounds = {name: [Round(1000, 1000 / rate, {"process": 0.1}, 50.0) for rate in (400, 500, 450)] for name in names}
    document = figures.report(rounds)
    chart.draw(document, tmp_path / "bench.svg")
    reported = " ".join(ET.parse(tmp_path / "bench.svg").getroot().itertext())
    assert document["contenders"].keys() == set(names)
    assert all(name in reported for name in names)


@pytest.mark.slow
def test_the_page_and_its_chart_are_made_of_the_file(tmp_path: Path) -> None:
    lines = [{"head": HEAD}, *(look(minute, killed=[[5.0, "relay"]]) for minute in range(9)), {"end": END}]
    file, page = tmp_path / "soak.jsonl", tmp_path / "soak.md"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines) + '{"second": 1, "cut o')
    assert len(read(file).looks) == 9
    write(file, page)
    assert "memory of the roles, MiB" in page.with_suffix(".svg").read_text()
    assert page.read_text() == page_of(read(file))
