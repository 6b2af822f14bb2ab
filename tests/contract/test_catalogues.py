"""Every kind that a provider publishes is decided, and its page says so.

`catalogues/NAME.txt` are the names that the provider's own document publishes, one a line.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import pytest

import providers
from ops.catalogues import pages
from providers.core.catalogue import Decision
from schemas.dead_letter import Reason
from schemas.errors import UninterpretableError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

FOLDER: Final = Path(__file__).parent / "catalogues"
PAGES: Final = Path(__file__).parents[2] / "docs" / "providers"
HISTORIES: Final = Path(__file__).parent / "histories"
PUBLISHED: Final = {file.stem: file.read_text().splitlines() for file in sorted(FOLDER.glob("*.txt"))}
EMPTY: Final[dict[str, Callable[[str], Any]]] = {
    "adyen": lambda kind: {"eventCode": kind},
    "braintree": lambda kind: f"<notification><kind>{kind}</kind></notification>",
    "flutterwave": lambda kind: {"type": kind, "data": {}},
    "paypal": lambda kind: {"event_type": kind, "resource": {}},
    "paystack": lambda kind: {"event": kind, "data": {}},
    "razorpay": lambda kind: {"event": kind, "payload": {}},
    "standard_webhooks": lambda kind: {"type": kind, "data": {}},
    **dict.fromkeys(("checkout", "mollie", "square"), lambda kind: {"type": kind}),
    "gocardless": lambda kind: dict(zip(("resource_type", "action"), kind.split("."), strict=True)),
    "mpesa": lambda kind: {"TransactionType": kind},
    "shopify": lambda _kind: {},
    "stripe": lambda kind: {"type": kind, "data": {"object": {}}},
}
"""The body of a kind that says nothing else, by provider."""
KINDS: Final = [(name, kind) for name, kinds in PUBLISHED.items() for kind in kinds]


def test_every_catalogue_has_its_published_names() -> None:
    assert {f"{name}.md" for name in PUBLISHED} == set(pages(HISTORIES))


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_page_says_of_which_date_it_is_and_what_nobody_found_out(name: str) -> None:
    provider = providers.find(name)
    assert provider is not None
    assert provider.catalogue is not None
    assert re.search(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}|version [0-9]", provider.catalogue.read_on)
    assert provider.catalogue.open_questions.strip()
    assert provider.catalogue.tried.strip()
    page = (PAGES / f"{name}.md").read_text()
    assert ("## Read again on a clock" in page) == (name != "adyen"), "Adyen has no API that shows a payment"
    reports = (HISTORIES / f"{name}.jsonl").read_text().splitlines()
    assert len({json.loads(one)["report"] for one in reports}) >= 10


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_kind_is_decided(name: str) -> None:
    provider = providers.find(name)
    assert provider is not None
    assert provider.catalogue is not None
    assert set(PUBLISHED[name]) <= set(provider.catalogue.kinds)


@pytest.mark.parametrize(("name", "kind"), KINDS, ids=[f"{name}-{kind}" for name, kind in KINDS])
def test_a_published_kind_is_what_is_decided(name: str, kind: str) -> None:
    provider = providers.find(name)
    assert provider is not None
    assert provider.catalogue is not None
    decision = provider.catalogue.kinds[kind].decision
    body = bytes_of(EMPTY[name](kind))
    assert (
        outcome(name, kind, body)
        in {
            Decision.MONEY: (None, Reason.UNDECODABLE),
            Decision.NOTHING: (None,),
            Decision.REFUSED: (Reason.UNKNOWN_KIND,),
        }[decision]
    )


def bytes_of(body: Any) -> bytes:
    """Return a body as it is sent; XML goes in Braintree's form."""
    if isinstance(body, str):
        return urlencode({"bt_payload": base64.encodebytes(body.encode()).decode()}).encode()
    return json.dumps(body).encode()


def outcome(name: str, kind: str, body: bytes) -> str | None:
    """Return why the body was refused, or None where it reports nothing."""
    try:
        assert not providers.interpret(name, kind, body).facts
    except UninterpretableError as error:
        return error.reason
    return None


@pytest.mark.parametrize("page", pages(HISTORIES))
def test_the_page_is_up_to_date(page: str) -> None:
    assert (PAGES / page).read_text() == pages(HISTORIES)[page], "run `make catalogues`"


FOUND_OPEN = {
    "statuses": {"created", "requires_action", "processing", "authorized"},
    "refunds": {"pending"},
    "disputes": {"inquiry", "open", "under_review"},
}
"""States of which `queue_stale` finds payments, each shown in `test_watch_rows`; others of a schedule it passes by."""


@pytest.mark.parametrize("name", [name for name in PUBLISHED if (one := providers.find(name)) and one.refetch])
def test_every_time_of_a_clock_has_its_document(name: str) -> None:
    provider = providers.find(name)
    assert provider is not None
    assert provider.refetch is not None
    assert provider.refetch.watches
    for watch in provider.refetch.watches:
        assert watch.source, watch
        assert 0 < watch.after < watch.until
        assert watch.every <= watch.until
        assert sum(map(bool, (watch.statuses, watch.refunds, watch.disputes, watch.debits))) == 1
        for what, states in FOUND_OPEN.items():
            assert set(getattr(watch, what)) <= states, watch


_TIME: Final = re.compile(r"\d (business |working )?(hours?|days?)|weeks|minutes")


@pytest.mark.parametrize("name", [name for name in PUBLISHED if (one := providers.find(name)) and one.refetch])
def test_a_time_that_no_document_tells_is_called_a_guess_on_the_page(name: str) -> None:
    provider = providers.find(name)
    assert provider is not None
    assert provider.refetch is not None
    page = (PAGES / f"{name}.md").read_text()
    for watch in provider.refetch.watches:
        assert watch.guess in ("", "after", "until", "after and until")
        assert watch.guess or _TIME.search(watch.source), watch
        assert not watch.guess or f"{watch.source}; {watch.guess}: a guess, no document says |" in page
