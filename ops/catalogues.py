"""Writes the providers' catalogues of kinds as pages.

`python -m ops.catalogues docs/providers tests/contract/histories`: the second folder holds what others reported of each
provider, one JSON object a line in `NAME.jsonl`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

import providers
from providers.core.catalogue import Report, page

_REPORTS = msgspec.json.Decoder(Report)


def pages(histories: Path) -> dict[str, str]:
    """Return the page of every provider that has a catalogue, by file name."""
    found = {name: providers.find(name) for name in sorted(providers.names())}
    return {
        f"{name}.md": page(
            one.catalogue, reports(histories / f"{name}.jsonl"), one.refetch.watches if one.refetch else ()
        )
        for name, one in found.items()
        if one and one.catalogue
    }


def reports(file: Path) -> list[Report]:
    """Return the reports of one provider; none where there is no such file."""
    return [_REPORTS.decode(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def write(folder: Path, histories: Path) -> None:
    """Write every page into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(histories).items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
