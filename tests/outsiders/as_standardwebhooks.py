"""Puts us in the place of `standardwebhooks.webhooks.Webhook`: what it verifies, we do."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import standardwebhooks.webhooks as theirs

from producers import providers
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Mapping


def verify(self: Any, data: bytes | str, headers: Mapping[str, str], *, json_parse: bool = True) -> Any:
    """Verify as the library does, through our provider; the time is the machine's."""
    body = data.encode() if isinstance(data, str) else data
    try:
        (notification,) = providers.verify(
            "standard_webhooks", headers=dict(headers), body=body, url="", secrets=[self.given], now=time.time()
        )
    except SignatureRejected as error:
        raise theirs.WebhookVerificationError(str(error)) from error
    return json.loads(notification.body) if json_parse else None


def _keep(self: Any, secret: str) -> None:
    _made(self, secret)
    self.given = secret if secret.startswith("whsec_") else f"whsec_{secret}"


_made = theirs.Webhook.__init__
theirs.Webhook.__init__ = _keep
theirs.Webhook.verify = verify
