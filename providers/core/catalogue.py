"""The catalogue of a provider: every kind of event that it publishes, what each means to us, and by which document."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from providers.core.refetch import Watch


class Decision(StrEnum):
    """What becomes of a kind."""

    MONEY = "money"
    """It says something of a payment: facts, or which payment an object became."""
    NOTHING = "nothing"
    """It is kept in the ledger and moves nothing."""
    REFUSED = "refused"
    """It becomes a dead letter on purpose, for somebody has to look at it."""


class Kind(msgspec.Struct, frozen=True):
    """The decision about one kind, and what it means in a few words."""

    decision: Decision
    meaning: str


class Catalogue(msgspec.Struct, frozen=True):
    """What one provider publishes. `source` names the document of the kinds, `read_on` its date.

    The rest is Markdown: `notes` are what holds for all kinds (whose amounts, which ids, which mode), each with its
    source; `tried` counts the payloads of others that were read; `open_questions` are what nobody could find out.
    """

    name: str
    source: str
    read_on: str
    kinds: dict[str, Kind]
    notes: str = ""
    tried: str = ""
    open_questions: str = ""


class Report(msgspec.Struct, frozen=True):
    """What somebody reported of an integration, and how it comes out here; `report` is `owner/name#number`."""

    report: str
    situation: str
    outcome: str

    @property
    def row(self) -> str:
        """The report's row of a table in Markdown."""
        repository, _, number = self.report.partition("#")
        link = f"[{self.report}](https://github.com/{repository}/issues/{number})"
        return f"| {link} | {self.situation} | {self.outcome} |"


def described(decision: Decision, kinds: dict[str, str]) -> dict[str, Kind]:
    """Return kinds with one decision: name -> meaning."""
    return {name: Kind(decision, meaning) for name, meaning in kinds.items()}


def alike(decision: Decision, meaning: str, *names: str) -> dict[str, Kind]:
    """Return kinds that mean the same."""
    return {name: Kind(decision, meaning) for one in names for name in one.split()}


_HEAD: Final = """# {name}

Made by `make catalogues` from the provider's table of kinds; do not edit.

Kinds: {source} ({read_on}).
"""


_REPORTS: Final = """## Reports of others that were played

Each as a short history with bodies of our own, in every order and repetition (`tests/contract/histories`).

| report | situation | here |
|---|---|---|
"""


_WATCHES: Final = """## Read again on a clock

What is in one of these states and was silent for the first time is asked about at the API, then as often as the second
says, until it is as old as the third. How often is our own choice.

| state | after | every | until | document |
|---|---|---|---|---|
"""


def page(catalogue: Catalogue, reports: Sequence[Report] = (), watches: Sequence[Watch] = ()) -> str:
    """Return the provider's page for docs/providers, in Markdown."""
    head = _HEAD.format(name=catalogue.name, source=catalogue.source, read_on=catalogue.read_on)
    rows = [f"| `{name}` | {kind.decision} | {kind.meaning} |" for name, kind in sorted(catalogue.kinds.items())]
    table = ["## Kinds", "", "| kind | decision | meaning |", "|---|---|---|", *rows]
    texts = (
        ("What holds for all", catalogue.notes),
        ("Payloads of others that were read", catalogue.tried),
        ("What nobody could find out", catalogue.open_questions),
    )
    parts = [f"## {heading}\n\n{text.strip()}" for heading, text in texts if text]
    played = [_REPORTS + "\n".join(report.row for report in reports)] if reports else []
    asked = [_WATCHES + "\n".join(watch.row for watch in watches)] if watches else []
    return "\n\n".join([head.strip(), *parts, *asked, *played, "\n".join(table)]) + "\n"
