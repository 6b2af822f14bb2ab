"""Writes the catalogue of metrics as the table of deploy/METRICS.md: `python -m runtime.metrics_table`."""

from __future__ import annotations

import sys

from runtime.metrics import CATALOGUE


def table() -> str:
    """Return the catalogue as a Markdown table, in order of names."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for entry in sorted(CATALOGUE, key=lambda entry: entry.name):
        labels = ", ".join(f"`{label}`" for label in entry.labels)
        lines.append(f"| `{entry.name}` | {entry.kind} | {labels} | {entry.meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":  # pragma: no cover - writes deploy/METRICS.md
    sys.stdout.write(table())
