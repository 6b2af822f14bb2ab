"""What Braintree's own test gateway signs is what we take, kind for kind."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from refetched import refetch_of

from producers import providers
from providers import interpret
from providers.core.refetch import Fetched

braintree = pytest.importorskip("braintree", reason="braintree is not installed")
pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")]
"""The SDK makes its samples' times in a way that Python 3.12 and newer warn of."""

GATEWAY = braintree.BraintreeGateway(
    braintree.Configuration(braintree.Environment.Sandbox, "merchant", "public", "private")
)
KINDS = sorted(
    value
    for name, value in vars(braintree.WebhookNotification.Kind).items()
    if not name.startswith("_") and value.startswith(("transaction_", "dispute_"))
)


@pytest.mark.parametrize("kind", KINDS)
def test_sample_notification(kind: str) -> None:
    sample = GATEWAY.webhook_testing.sample_notification(kind, "subject1")
    theirs = GATEWAY.webhook_notification.parse(sample["bt_signature"], sample["bt_payload"])
    (ours,) = providers.verify(
        "braintree", headers={}, body=urlencode(sample).encode(), url="", secrets=["public|private"], now=0
    )
    assert ours.kind == theirs.kind
    subject = getattr(theirs, "dispute", None) or getattr(theirs, "transaction", None)
    if subject is not None:
        assert ours.event_id == f"{kind}:{subject.id}"
    transaction = getattr(theirs, "transaction", None) or getattr(getattr(theirs, "dispute", None), "transaction", None)
    assert ours.payment_ref == (transaction.id if transaction else None)


STATES = sorted(
    value for name, value in vars(braintree.Dispute.Status).items() if isinstance(value, str) and name[0] != "_"
)


@pytest.mark.parametrize("state", STATES)
def test_a_dispute_is_read_again_in_every_state_that_the_sdk_names(state: str) -> None:
    body = f"<dispute><id>d1</id><status>{state}</status><transaction><id>t1</id></transaction></dispute>".encode()
    answer = refetch_of("braintree").answer("dispute:d1", 200, body)
    assert isinstance(answer, Fetched)
    fact, *_ = interpret("braintree", answer.kind, body).facts
    assert (fact.kind, fact.key) == ("dispute", "d1")
