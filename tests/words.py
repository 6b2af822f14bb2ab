"""Words of our own that the field has a plain word for: none is used, but in names that stay.

    .venv/bin/python tests/words.py

prints each line that uses one, and what to write instead. A word counts by itself and in a name, in code, SQL, texts,
comments, pages and templates.
"""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
INSTEAD: Final = {
    "books": "ledger; reconciliation",
    "calm": "normal",
    "careful": "isolated",
    "caution": "quarantine",
    "desk": "client, job",
    "door": "ingress, endpoint, handler",
    "judge": "decide",
    "lane": "worker, row, contender",
    "lookout": "poller",
    "outlet": "destination",
    "rehearsal": "dry run",
    "said": "reported, logged, answered",
    "scene": "given, setup",
    "settle": "process, apply",
    "settled": "processed, applied",
    "settlement": "processing",
    "standing": "status, balance, report",
    "story": "scenario, trace",
    "teller": "reporter",
    "told": "reported, logged, answered",
    "twin": "conflict; copy in flight",
    "understand": "decode",
    "warden": "process reaper",
}
"""Each word, and what to write instead."""
ENDINGS: Final = frozenset({".py", ".sql", ".html", ".js", ".md", ".sh", ".toml", ".tpl", ".yaml"})
BOARD: Final = "deploy/grafana/ratchet.json"
"""The one JSON file with texts of ours; the others are schemas, or what others wrote."""
UNTOUCHED: Final = (
    *("CHANGELOG.md", "migrations/", "tests/words.py", "tests/unit/test_words.py", "clients/", "uv.lock"),
    "ops/console/static/htmx",
)
"""What is history, keeps these words by its job, or is made by a tool or by others."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A name or a phrase that stays as it is: no word within it counts, in files whose paths begin as `places` say."""

    text: str
    """A regular expression; upper and lower case are one."""
    why: str
    places: tuple[str, ...] = ("",)


_OUTSIDE: Final = "settings, alerts, metrics, log lines, options and columns that people and programs hold on to: "
KEPT: Final = (
    Kept(r"(?s:## Names that stay.*)", "the section that explains them", ("docs/glossary.md",)),
    Kept(r"books_timeout_seconds|console_books_failed|--books|/books", _OUTSIDE + "a setting, a log line, old links"),
    Kept(r"careful_until", _OUTSIDE + "a column of consumer_marks"),
    Kept(
        r"desks_open|desk=health|\"desk\"|\(desk\)|\$labels\.desk|\{\{desk\}\}|`desk`",
        _OUTSIDE + "a metric's label, log lines",
        ("consumer/dispatcher/", "deploy/", "runtime/metrics.py"),
    ),
    Kept(r"RatchetDoor\w+|RATCHET_(?:CONSOLE_)?DOOR|doorFrom", _OUTSIDE + "alerts, compose's ports, the chart's value"),
    Kept(
        r"lane",
        "one of the relay's six outputs, as the label of its metrics says; a publisher is what the ingress has",
        (
            *("producers/relay/", "runtime/metrics.py", "deploy/", "RUNBOOK.md", "docs/glossary.md", "docs/model.md"),
            *(
                "docs/walkthrough.md",
                "docs/decisions/0034-",
                "tests/integration/test_relay",
                "tests/unit/test_relay",
                "tests/unit/test_first_failure",
            ),
            *("tests/integration/test_redrive", "tests/model/worlds/", "tests/unit/test_glossary.py"),
            "tests/contract/test_deploy_monitoring.py",
        ),
    ),
    Kept(
        r"RatchetNothingSettled|RatchetEventsSettleLate|batch_settled|settle_(?:seconds_max|interval_seconds|seconds)",
        _OUTSIDE + "alerts, log lines, settings of the sample",
    ),
    Kept(
        r"(?<![a-z])settle(?:[sd]|ments?)?(?![a-z])",
        "a provider's own word: its payout, or the taking of what was authorized",
        ("providers/", "docs/providers/", "tests/unit/test_interpret_", "tests/unit/test_refetch_objects.py"),
    ),
    Kept(r"settlementAmount", "a field of Mollie's", ("tests/unit/test_interpret_",)),
    Kept(
        r"transaction_settled|settlement\.processed",
        "kinds of Braintree and Razorpay",
        ("tests/soak/others.py", "tests/contract/test_never_raise.py"),
    ),
    Kept(r"standing orders?", "a bank's word", ("providers/mpesa/", "docs/providers/mpesa.md")),
    Kept(r"told: str|told=one|seen\['told'\]", "a key of the runs that seen.json keeps", ("tests/cluster/",)),
    Kept(r"twin_wait_seconds|twins_kept_(?:seconds|max)|twin_retries_(?:max|total)", _OUTSIDE + "settings, a metric"),
)
"""What keeps a word of the list, and why; docs/glossary.md, "Names that stay", says what each means."""


@dataclass(frozen=True, slots=True)
class OneMeaning:
    """A word that plain English needs too, so that only names are looked at: they bear it in `places`, for one meaning.

    `words` are its forms. `kept` is a regular expression of names that bear it elsewhere and stay: outsiders know them.
    """

    words: tuple[str, ...]
    means: str
    places: tuple[str, ...]
    kept: str = ""


ROOMS: Final = ("schemas/", "providers/", "runtime/", "producers/", "consumer/", "ops/")
ONE_MEANING: Final = (
    OneMeaning(
        ("claim", "claimed", "claiming"),
        "what a process takes of a table to work on it; what a token of OpenID Connect says of a person",
        (
            *("consumer/dispatcher/", "producers/relay/redrive.py", "producers/sql/claim_redrive_messages.sql"),
            *("runtime/settings/dispatching.py", "ops/console/sso.py", "runtime/settings/sso.py"),
        ),
        r"intent_claims|body_claims|claimed_at|remove_body_claims\.sql",
    ),
    OneMeaning(("evidence",), "what a merchant sends a provider in a dispute", ("providers/",)),
    OneMeaning(("proof",), "what shows that a request is genuine", ("providers/",), "PROOF_UNAVAILABLE"),
    OneMeaning(
        ("receipt",), "M-Pesa's, and Razorpay's, of a payment", ("providers/mpesa/", "providers/razorpay/"),
        "RECEIPT_TIMEOUT|receipt_deadline_seconds",
    ),
    OneMeaning(
        ("verdict",), "what becomes of an event",
        ("consumer/", "ops/dry_run.py", "ops/publish_check.py", "ops/snapshot_reader.py", "runtime/metrics.py"),
    ),
)  # fmt: skip
"""docs/decisions/0048 says which words are held by reading alone, and why."""
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words_in(text: str) -> set[str]:
    """Return the words of a text, those within names too, without a plural's s."""
    words = {word.lower() for word in _WORD.findall(text)}
    return words | {word[:-1] for word in words if word.endswith("s")}


def files() -> list[str]:
    """Return the files that are read, by their paths from the top."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = (path for path in listed.splitlines() if Path(path).suffix in ENDINGS or path == BOARD)
    return [path for path in known if not path.startswith(UNTOUCHED) and (ROOT / path).is_file()]


@cache
def _left_out(path: str) -> re.Pattern[str] | None:
    kept = "|".join(f"(?:{one.text})" for one in KEPT if path.startswith(one.places))
    return re.compile(kept, re.IGNORECASE) if kept else None


def _as_lines(kept: re.Match[str]) -> str:
    """Return what stands in place of a kept text: its line ends, so that lines keep their numbers."""
    return "\n" * kept[0].count("\n") or " "


def counted(path: str) -> str:
    """Return the text of a file without what stays as it is."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return left_out.sub(_as_lines, text) if (left_out := _left_out(path)) else text


@cache
def used() -> dict[str, list[str]]:
    """Return for each word the lines that use it, as `path:line: text`."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in files():
        text = counted(path)
        lower = text.lower()
        known = {word for word in INSTEAD if word in lower}
        if not known or not words_in(text) & known:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for word in words_in(line) & known:
                found[word].append(f"{path}:{number}: {line.strip()}")
    return dict(found)


def names_in(path: str) -> set[str]:
    """Return the names that a file of Python or SQL bears and its own; not what texts and comments say."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".sql"):
        names = set(re.findall(r"\w+", re.sub(r"--.*|'[^']*'", "", text)))
    else:
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        names = {token.string for token in tokens if token.type == tokenize.NAME}
    return names | {Path(path).name}


def out_of_place(one: OneMeaning) -> list[str]:
    """Return the names of the product that bear a word for another meaning than its own, as `path: name`."""
    found = []
    for path in files():
        if not path.startswith(ROOMS) or not path.endswith((".py", ".sql")) or path.startswith(one.places):
            continue
        if not any(word in (ROOT / path).read_text(encoding="utf-8").lower() for word in one.words):
            continue
        bearing = [name for name in sorted(names_in(path)) if words_in(name) & {*one.words}]
        found += [f"{path}: {name}" for name in bearing if not (one.kept and re.fullmatch(one.kept, name))]
    return found


def main() -> None:
    """Print each use of a word, and what to write instead."""
    for word, lines in sorted(used().items()):
        print(f"{word} (write {INSTEAD[word]!r}):", *lines, sep="\n  ")  # noqa: T201
    for one in ONE_MEANING:
        if names := out_of_place(one):
            print(f"{one.words[0]} (means {one.means!r} alone):", *names, sep="\n  ")  # noqa: T201


if __name__ == "__main__":
    main()
