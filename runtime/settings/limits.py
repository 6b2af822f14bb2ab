"""Rate limits of the front door."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from typing import Literal

from pydantic import Field

from runtime.settings.base import ClientName, Count, Group

Endpoint = Literal["create", "capture", "cancel", "refund", "payment", "timeline", "payments"]
"""What a client may call, each with a window of its own: the commands, and the two things that can be read."""


class LimitSettings(Group):
    """How many requests a window of `window_seconds` takes.

    `requests_max` holds for each client and endpoint of the intents API; `endpoints` has other figures for single
    endpoints, `clients` for single clients, and a client's own figure wins. `unverified_requests_max` holds for each
    source address (of IPv6 each /64) and counts webhooks that are not proven genuine, and no others; one that is proven
    is never refused. `unsigned_requests_max` holds for an address too, and counts hints that anybody can send
    (Mollie's old webhooks). While Redis is away each process counts for itself, up to `local_keys_max` clients or
    addresses, of which the ones longest unseen give way.
    """

    window_seconds: Count = 60
    requests_max: Count = 12_000
    endpoints: Mapping[Endpoint, Count] = Field(default_factory=dict)
    clients: Mapping[ClientName, Count] = Field(default_factory=dict)
    unverified_requests_max: Count = 600
    unsigned_requests_max: Count = 6_000
    local_keys_max: Count = 10_000
