"""What a service does with a client that was generated from our OpenAPI document; nothing of ours is installed there.

The ingress' address, an API key and a signed webhook (its header, its body) are its arguments; it prints what it was
answered, as JSON. `ratchet_ingress_client` is the generated package.
"""

from __future__ import annotations

import io
import json
import sys
import uuid

from ratchet_ingress_client import AuthenticatedClient, Client
from ratchet_ingress_client.api.default import create_intent, find_payments, get_intent, post_webhook, refund_intent
from ratchet_ingress_client.models import Intent, IntentCurrency, IntentProvider, PostWebhookProvider, Refund
from ratchet_ingress_client.types import File


def main(url: str, key: str, signature: str, event: str) -> None:
    reported: dict[str, object] = {}
    intent = Intent(amount=1250, currency=IntentCurrency.EUR, provider=IntentProvider.STRIPE, reference="ORD-9")
    with AuthenticatedClient(url, key) as client:
        idempotency_key = str(uuid.uuid4())
        made = create_intent.sync(client=client, body=intent, idempotency_key=idempotency_key)
        again = create_intent.sync_detailed(client=client, body=intent, idempotency_key=idempotency_key)
        reported["made"] = made.to_dict()
        reported["replayed"] = [again.parsed.to_dict(), again.headers["Idempotent-Replayed"]]
        reported["read"] = get_intent.sync(made.id, client=client).to_dict()
        reported["found"] = [one.to_dict() for one in find_payments.sync(client=client, reference="ORD-9").payments]
        refund = refund_intent.sync_detailed(
            made.id, client=client, body=Refund(amount=1), idempotency_key=str(uuid.uuid4())
        )
        reported["refund"] = [refund.status_code, refund.parsed.to_dict()]
    with AuthenticatedClient(url, "sk_of_nobody_0123456789") as stranger:
        reported["stranger"] = get_intent.sync(made.id, client=stranger).to_dict()
    with Client(url) as provider:
        for name, header in (("webhook", signature), ("forged", "t=1,v1=00")):
            answer = post_webhook.sync_detailed(
                PostWebhookProvider.STRIPE,
                client=provider,
                body=File(io.BytesIO(event.encode())),
                stripe_signature=header,
            )
            reported[name] = [answer.status_code, answer.parsed.to_dict()]
    sys.stdout.write(json.dumps(reported))


if __name__ == "__main__":
    main(*sys.argv[1:])
