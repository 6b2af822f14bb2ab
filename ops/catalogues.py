"""Writes the providers' catalogues of kinds as pages: `python -m ops.catalogues docs/providers`."""

from __future__ import annotations

import sys
from pathlib import Path

import providers
from providers.core.catalogue import page


def pages() -> dict[str, str]:
    """Return the page of every provider that has a catalogue, by file name."""
    found = {name: providers.find(name) for name in sorted(providers.names())}
    return {f"{name}.md": page(one.catalogue) for name, one in found.items() if one and one.catalogue}


def write(folder: Path) -> None:
    """Write every page into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
