"""Certificates that requests name by URL."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Count, Group, Seconds


class CertificateSettings(Group):
    """Certificates that a request names by URL (PayPal's): how they are fetched and kept.

    A share of the fetches, of the fetches a minute and of the waiting requests is left to proven addresses: those from
    which something genuine came before. Failures that strangers cause leave a host open to proven addresses.
    """

    entries_max: Count = 32
    """Certificates that are kept."""
    ttl_seconds: Seconds = 3600.0
    """How long a certificate is kept before it is fetched again."""
    stale_seconds: Seconds = 24 * 3600.0
    """How much longer the old one serves while fetching it again fails."""
    bytes_max: Count = 64 * 1024
    """The largest answer that is read."""
    timeout_seconds: Seconds = 3.0
    """How long one fetch may take."""
    fetches_max: Count = 8
    """Fetches at once; a request beyond them is answered 503."""
    fetches_a_minute_max: Count = 60
    """Fetches a minute of certificates that are not kept."""
    fetches_per_address_a_minute_max: Count = 10
    """Of these, how many one address (of IPv6 each /64) may cause; then it is answered 429."""
    proven_share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """The share that is left to proven addresses."""
    proven_kept_seconds: Annotated[int, Field(ge=1)] = 30 * 86400
    """How long Redis, if there is one, remembers a proven address."""
    waiters_max: Count = 64
    """Requests that may wait for a fetch."""
    breaker_failures_max: Count = 3
    """Failures in a row after which a host is left alone."""
    breaker_seconds: Seconds = 2.0
    """How long a host is left alone."""
