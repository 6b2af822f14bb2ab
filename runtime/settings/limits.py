"""Rate limits of the ingress."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from typing import Literal

from pydantic import Field

from runtime.settings.base import ClientName, Count, Group

Endpoint = Literal["create", "capture", "cancel", "refund", "payment", "timeline", "payments"]
"""What a client may call, each with a window of its own: the four commands, and the three things that can be read."""


class LimitSettings(Group):
    """How many requests a window of time takes. A webhook that is proven genuine is never refused.

    While Redis is away each process counts for itself.
    """

    window_seconds: Count = 60
    """The length of the window."""
    requests_max: Count = 12_000
    """Requests of one client to one endpoint of the intents API."""
    endpoints: Mapping[Endpoint, Count] = Field(default_factory=dict)
    """Other figures for single endpoints."""
    clients: Mapping[ClientName, Count] = Field(default_factory=dict)
    """Other figures for single clients, which win."""
    unverified_requests_max: Count = 600
    """Webhooks of one address (of IPv6 each /64) that are not proven genuine."""
    unsigned_requests_max: Count = 6_000
    """Hints of one address (of IPv6 each /64) that anybody can send, such as Mollie's old webhooks."""
    local_keys_max: Count = 10_000
    """Clients or addresses that a process counts without Redis; the one longest unseen gives way."""
