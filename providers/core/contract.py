"""The contract between a provider's file and the rest: requests in, notifications and meanings out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal

from schemas.facts import Meaning

if TYPE_CHECKING:
    from providers.core.catalogue import Catalogue
    from providers.core.recall import Recall
    from providers.core.refetch import Refetch

HeaderValues = Mapping[str, str | Sequence[str]]

REASONS: Final = frozenset(
    {
        "missing_header",
        "malformed_header",
        "malformed_body",
        "bad_signature",
        "stale_timestamp",
        "future_timestamp",
        "empty_secret",
        "wrong_account",
        "unsupported_algorithm",
        "untrusted_cert_url",
        "untrusted_cert",
        "expired_cert",
    }
)
"""Every reason that `SignatureRejected` may carry."""

TOLERANCE_SECONDS: Final = 300
"""How old or how far ahead a signed time may be; exactly this much is still good."""


class Trust(StrEnum):
    """How much a request proves."""

    VERIFIED = "verified"
    """The body is proven genuine."""
    HINT = "hint"
    """Something may have happened; nothing in the body moves money before the provider's API was read again."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One webhook request as it came in.

    `headers` maps lower-case names to all their values in order, latin-1 text. `url` is the public URL as configured.
    `secrets` are all live ones, as the provider shows them. `now` is unix seconds. `config` holds what a provider needs
    beside secrets (PayPal's certificates, Adyen's merchant accounts).
    """

    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    url: str
    secrets: tuple[str, ...]
    now: float
    config: Mapping[str, Any] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """Return the first value of a header (lower-case name), or None."""
        values = self.headers.get(name)
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Notification:
    """One event of a verified request.

    `event_id` is the provider's identity of the event, or None where it gives none. `kind` is the provider's name of
    what happened. `payment_ref` is the reference that correlates the events of one payment. `body` is the provider's
    own bytes: of a multi-item body the item's own slice.
    """

    event_id: str | None
    kind: str | None
    payment_ref: str | None
    body: bytes
    trust: Literal["verified", "hint"] = "verified"


Verify = Callable[[SignedRequest], list[Notification]]
"""Return the request's events, or raise SignatureRejected and nothing else."""

Interpret = Callable[[str, bytes], Meaning]
"""From (kind, body) to what the event says; raise UninterpretableError and nothing else."""


InterpretPart = Callable[[str, bytes, str], Meaning]
"""From (kind, body, event id) to what one event says of several that one body makes. As `Interpret`."""

Work = Callable[[Mapping[str, Sequence[str]], int], int]
"""From a request's headers (lower-case names) and its body's length to what its check costs, in bytes to be hashed."""


def body_work(headers: Mapping[str, Sequence[str]], body_bytes: int) -> int:  # noqa: ARG001 - a `Work`
    """Return the work of a check that hashes the body once."""
    return body_bytes


@dataclass(frozen=True, slots=True)
class NamedCertificate:
    """A certificate that a request names by URL, in the header (lower case).

    `url` takes what stands there and the hosts that may serve it, and returns an address that may be fetched, or raises
    SignatureRejected. `hosts` may serve it where the settings name none.
    """

    header: str
    url: Callable[[str, Collection[str] | None], str]
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: what a file of this folder defines as `PROVIDER`.

    `event_id_signed` is False where the event id comes from an unsigned place (a header), so that dedupe must look at
    the body too. `kind_signed` is False where the kind comes from an unsigned header: then the same body under another
    kind is another event. `interpret` is None for a provider that says nothing about payments. `refetch` says how its
    API is asked again; None where that is not possible. `recall` says how it is asked for what never came; None where
    it lists neither events nor objects.

    `named` reads in an unsigned body what to read again at the API, and returns None where the body names nothing;
    `also_named` reads a second id, and what that belongs to. Both raise nothing. `unsigned` tells that the provider's
    ordinary webhook is unsigned: such bodies are taken as hints unless the settings say otherwise. `hints_by_anybody`
    tells that they carry no secret at all; those of others prove at least that the sender knows one. `secret_in_path`
    tells that its secret is the last part of the path, and is never logged. `payments` is False
    for a provider that no payment can be made with.
    `capture_by_setting` tells that its authorizations don't say whether the money is taken at once.
    `work` says what a check costs before it is made. `shows_secret` tells that one of its schemes shows a secret on
    each request instead of signing with it; such secrets are settings of their own, `config["shown_secrets"]`.
    `signed_by` names the headers that its requests prove themselves by, as it writes them; none where the proof stands
    in the body or in the path. `certificate` says how they name one by URL; None where they name none.
    `catalogue` holds every kind that it publishes, with what is decided about each.
    `learned_by_api` says what of its ordinary webhooks tells no money by itself, so that the API must be read again;
    empty where its webhooks tell all.
    `meaning_version` grows whenever an event comes to mean other facts than before: two facts of one event id are
    compared only within one version.
    `ids_span_accounts` tells that each of its ids is made once for all merchant accounts that one of its accounts has:
    an event that leaves its merchant account out is found by them.
    `interpret_part` reads one of several events that one body makes, all with its bytes; it gets the event's id.
    """

    name: str
    verify: Verify
    interpret: Interpret | None = None
    event_id_signed: bool = True
    kind_signed: bool = True
    refetch: Refetch | None = None
    recall: Recall | None = None
    named: Callable[[bytes], str | None] | None = None
    also_named: Callable[[bytes], tuple[str, str] | None] | None = None
    unsigned: bool = False
    hints_by_anybody: bool = False
    secret_in_path: bool = False
    payments: bool = True
    capture_by_setting: bool = False
    work: Work = body_work
    shows_secret: bool = False
    signed_by: tuple[str, ...] = ()
    certificate: NamedCertificate | None = None
    catalogue: Catalogue | None = None
    interpret_part: InterpretPart | None = None
    learned_by_api: str = ""
    meaning_version: int = 1
    ids_span_accounts: bool = False
