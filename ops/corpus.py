"""Reads a folder of other people's payloads: `python -m ops.corpus PROVIDER DIR` (`make corpus PROVIDER=.. DIR=..`).

Every file of text under the folder is searched for mappings, as JSON or as literals of a language (`literals`), and
these for events of the provider, wherever in them they stand: SDKs and documents keep payloads inside tests and pages.
Of providers whose webhook only names what is to be read at the API, the API's answers are searched for too. Braintree's
are documents of XML, bare, in a form, or in a mapping as that form's fields.

Each is interpreted without verification; then what all of them say is joined, payment by payment: in their order, and
each of them twice in the reverse order and in eight that are made up. It prints a line for each event (file, kind,
outcome, references, facts), the rows, those that another order makes otherwise, the files that held an event with their
number of events, and the counts. Exit status: 0 where an event was read; 1 where none was, which standard error says; 2
for a provider or a folder that is not there. It writes no file.
"""

from __future__ import annotations

import base64
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode

import providers
from consumer.fold import newer, project
from ops.literals import mappings_in
from providers.braintree.document import texts_of
from providers.core.reading import text_at
from schemas.errors import UninterpretableError
from schemas.facts import JOINING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas.facts import Meaning, Ref
    from schemas.payment import Facts

SHUFFLES: Final = 8
"""Orders that are made up, beside the file's own and the reverse one."""
FILE_BYTES_MAX: Final = 20_000_000
"""A file that is larger is no payload."""
KIND_AT: Final = {
    "adyen": ("eventCode", "pspReference"),
    "checkout": ("type", "data"),
    "flutterwave": ("event", "data"),
    "gocardless": ("action", "resource_type"),
    "mollie": ("type", "entityId"),
    "paypal": ("event_type", "resource"),
    "paystack": ("event", "data"),
    "razorpay": ("event", "payload"),
    "square": ("type", "merchant_id"),
    "standard_webhooks": ("type", "data"),
    "stripe": ("type", "data"),
}
"""Under which name an event tells its kind, and a name that it has beside."""


_SUFFIXES: Final = frozenset(
    {
        ".cs",
        ".erb",
        ".ex",
        ".exs",
        ".go",
        ".html",
        ".java",
        ".js",
        ".json",
        ".jsonl",
        ".jsx",
        ".kt",
        ".md",
        ".mdx",
        ".mjs",
        ".php",
        ".py",
        ".rb",
        ".rs",
        ".ts",
        ".tsx",
        ".txt",
        ".xml",
        ".yaml",
        ".yml",
    }
)


def show(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(line + "\n")


def kind_of(provider: str, value: dict[str, Any]) -> str | None:
    """Return the kind of an event, or None for an object that is none.

    Shopify's stands in a header and M-Pesa names none, so there the shape tells it; GoCardless' has two parts, and
    Flutterwave's two versions name it differently.
    """
    if provider in _SHAPES:
        return next((kind for kind, names in _SHAPES[provider].items() if names <= value.keys()), None)
    for answer, needed in _ANSWERS.get(provider, {}).items():
        if all(text_at(value, *path) is not None and shown in (None, text_at(value, *path)) for path, shown in needed):
            return answer
    kind_at, beside = KIND_AT[provider]
    kind = value.get(kind_at, value.get("type") if provider == "flutterwave" else None)
    if provider == "gocardless" and isinstance(kind, str):
        kind = f"{value.get(beside)}.{kind}"
    return kind if isinstance(kind, str) and beside in value else None


_ANSWERS: Final[dict[str, dict[str, tuple[tuple[tuple[str, ...], str | None], ...]]]] = {
    "mollie": {
        "refetch.payment": ((("resource",), "payment"), (("id",), None), (("status",), None)),
        "refetch.order": ((("resource",), "order"), (("id",), None), (("status",), None)),
    },
    "flutterwave": {"refetch.transaction": ((("message",), None), (("data", "tx_ref"), None), (("data", "id"), None))},
}
"""What the API answers, by its kind: where something stands in it, and what (None: whatever it is)."""
_SHAPES: Final = {
    "mpesa": {
        "stkCallback": {"Body"},
        "Result": {"Result"},
        "Pay Bill": {"TransID", "TransAmount"},
        "Ratiba": {"responseHeader", "responseBody"},
        "B2BExpress": {"requestId", "transactionId"},
        "BillManager": {"transactionId", "paidAmount"},
    },
    "shopify": {
        "disputes/update": {"network_reason_code", "order_id", "amount"},
        "refunds/create": {"order_id", "transactions", "refund_line_items"},
        "order_transactions/create": {"order_id", "kind", "status", "amount"},
        "orders/updated": {"financial_status", "total_price", "id"},
    },
}


def events_in(provider: str, value: Any) -> Iterator[tuple[str, bytes]]:
    """Return (kind, body) of every event of the provider inside a JSON value."""
    if isinstance(value, dict) and provider in _DOCUMENTS:
        payload = value.get(_PAYLOAD)
        if isinstance(payload, str):
            yield from _document(payload.encode())
            return
        value = list(value.values())
    elif isinstance(value, dict):
        kind = kind_of(provider, value)
        if kind is not None:
            yield value.get("TransactionType") or kind, json.dumps(value).encode()
            return
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from events_in(provider, one)


def documents_in(provider: str, text: str) -> Iterator[tuple[str, bytes]]:
    """Return (kind, body) of every event that stands in a text as a document of XML or as a form."""
    if provider in _DOCUMENTS:
        for document in _XML.findall(text):
            yield from _document(base64.encodebytes(document.encode()))
        for form in _FORM.findall(text):
            yield from _document(parse_qs(form)[_PAYLOAD][0].encode())


def _document(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Return (kind, body) of a document in base64; nothing where no kind can be read, as in a template."""
    kind = texts_of(payload).get("notification/kind", "")
    if _NAME.fullmatch(kind):
        yield kind, urlencode({_PAYLOAD: payload}).encode()


_DOCUMENTS: Final = ("braintree",)
"""Who sends documents of XML, each in the field `bt_payload` of a form."""
_PAYLOAD: Final = "bt_payload"
_XML: Final = re.compile(r"<notification>.*?</notification>", re.DOTALL)
_FORM: Final = re.compile(r"(?<![\w&%=])(?:bt_signature=[^&\s\"']+&)?bt_payload=[\w%+/=-]+")
_NAME: Final = re.compile(r"[a-z_]+")


def texts_under(folder: Path) -> Iterator[tuple[Path, str]]:
    """Return (path, text) of every file under the folder that may hold payloads."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
            yield path, path.read_text(errors="replace")


def events_of(provider: str, path: Path, text: str) -> Iterator[tuple[str, bytes]]:
    """Return (kind, body) of every event that a file holds."""
    values = list(values_in(text, whole=path.suffix == ".json"))
    if path.suffix == ".json" and not values:
        show(f"{path.name}: no JSON")
    for value in values:
        yield from events_in(provider, value)
    yield from documents_in(provider, text)


def values_in(text: str, *, whole: bool) -> Iterator[Any]:
    """Return the values of a text: all of it, or each mapping that begins in it and can be read."""
    if whole:
        try:
            yield json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return
    yield from mappings_in(text)


class Corpus:
    """What a folder's events say together: payments by the references that they share."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._payments: dict[Ref, dict[str, Any]] = {}
        self._meanings: list[Meaning] = []
        self.counts: Counter[str] = Counter()

    def read(self, file: str, kind: str, body: bytes) -> None:
        """Interpret one event, print what it says, and join it."""
        try:
            meaning = providers.interpret(self._provider, kind, body)
        except UninterpretableError as error:
            self.counts[str(error.reason)] += 1
            show(f"{file}: {kind}: {error.reason}: {error}")
            return
        self.counts["facts" if meaning.facts else "nothing"] += 1
        refs = " ".join(f"{ref.kind}={ref.ref}" for ref in meaning.refs)
        facts = " ".join(f"{one.kind}:{one.key}={one.state}/{one.amount}" for one in meaning.facts)
        show(f"{file}: {kind}: {'facts' if meaning.facts else 'nothing'}: {refs} | {meaning.currency} {facts}")
        self._meanings.append(meaning)
        self._join(meaning)

    def backwards(self) -> Corpus:
        """Return the same events joined in the reverse order, each twice."""
        return self._joined(one for meaning in reversed(self._meanings) for one in (meaning, meaning))

    def shuffled(self, seed: int) -> Corpus:
        """Return the same events joined in an order that a seed makes, each twice, not one after the other."""
        twice = self._meanings * 2
        random.Random(seed).shuffle(twice)  # noqa: S311 - an order, no secret
        return self._joined(twice)

    def _joined(self, meanings: Iterable[Meaning]) -> Corpus:
        other = Corpus(self._provider)
        for meaning in meanings:
            other._join(meaning)
        return other

    def _join(self, meaning: Meaning) -> None:
        refs = [ref for ref in meaning.refs if ref.kind in JOINING]
        if not meaning.facts or not refs:
            return
        held = {id(one): one for ref in refs if (one := self._payments.get(ref)) is not None}
        payment: dict[str, Any] = {"refs": set(refs), "facts": {}, "currency": meaning.currency}
        for one in held.values():
            payment["refs"] |= one["refs"]
            payment["facts"] |= one["facts"]
        payment["facts"] |= newer(payment["facts"], meaning.facts)
        for ref in payment["refs"]:
            self._payments[ref] = payment

    def rows(self) -> Iterator[str]:
        """Return a line for each payment: its references, and what all facts come to."""
        for payment in {id(one): one for one in self._payments.values()}.values():
            facts: Facts = payment["facts"]
            row = project(facts)
            yield (
                f"{sorted(ref.ref for ref in payment['refs'])}: {row.status} refunds {row.refund_status} "
                f"dispute {row.dispute_status} amount {row.amount} authorized {row.authorized} captured {row.captured} "
                f"refunded {row.refunded} disputed {row.disputed} {','.join(row.flags)}"
            )


def main(provider: str, folder: Path) -> int:
    """Print what a folder's payloads say. Returns the exit status."""
    if provider not in providers.names() or not folder.is_dir():
        return _failed(f"there is no provider {provider!r}, or no folder {folder}", 2)
    if provider not in (*KIND_AT, *_SHAPES, *_DOCUMENTS):
        return _failed(f"{provider} has no events of money; there is nothing to read", 2)
    corpus = Corpus(provider)
    looked_at = 0
    read: Counter[str] = Counter()
    for path, text in texts_under(folder):
        looked_at += 1
        for kind, body in events_of(provider, path, text):
            file = str(path.relative_to(folder))
            read[file] += 1
            corpus.read(file, kind, body)
    if not read:
        return _failed(f"{folder}: no event of {provider} in {looked_at} files", 1)
    rows = sorted(corpus.rows())
    for row in rows:
        show(row)
    orders = {"the reverse order": corpus.backwards()}
    orders |= {f"order {seed}": corpus.shuffled(seed) for seed in range(1, SHUFFLES + 1)}
    for name, other in orders.items():
        for row in sorted(set(other.rows()).symmetric_difference(rows)):
            show(f"differs in {name}: {row}")
    for file, number in read.items():
        show(f"{file}: {number} read")
    show(f"{read.total()} events in {len(read)} of {looked_at} files")
    show(str(dict(corpus.counts)))
    return 0


def _failed(why: str, status: int) -> int:
    sys.stderr.write(f"corpus: {why}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
