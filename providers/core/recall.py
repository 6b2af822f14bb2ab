"""Asking a provider for webhooks that never came: the pure half, as a provider's file describes it.

A provider that lists its events or its objects can be asked what happened in a span of time. Its file says how the list
is asked (`request`), how an answer becomes events (`read`), how far back the list reaches and how late it may show
something. An event of such a list is the same event as its webhook: it has the same id. An object's state is an event
of ours, whose id is made of the object's id and of the digest of its state.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from providers.core.reading import read_json, repaired, value_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from providers.core.catalogue import Catalogue
    from providers.core.contract import Notification
    from providers.core.refetch import ApiRequest, Credentials, Grant
    from schemas.facts import Meaning

KIND_PREFIX: Final = "recall."
"""Kinds of the events that are states of listed objects: `recall.<object>`; no provider names its own events so."""
EVENT_ID_PREFIX: Final = "recall:"
PAGE_LENGTH_MAX: Final = 2000
"""Characters of what names the next page."""
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class PageAsked:
    """One page of a list: what happened from `since` on and before `until` (unix seconds), at most `items_max` items.

    `page` is what the page before named, None for the first one.
    """

    since: float
    until: float
    page: str | None
    items_max: int


class Listed(NamedTuple):
    """One event of a page, and when it happened at the provider (unix seconds).

    `ref` is the id of the object whose state it is, None where the list is one of events.
    """

    notification: Notification
    occurred_at: float
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer holds, and what names the page after it; None at the end of the list."""

    items: tuple[Listed, ...]
    following: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of a provider's API. Both functions are pure.

    `read` takes (what was asked, body) and returns None where the body is no page of this list. The list reaches back
    `reach_seconds` and may show an event `late_seconds` after it happened; of a list of objects that is how long an
    object's state may change after it was made. `objects` tells that it lists objects; those are asked for every
    `every_seconds`, None leaves that to the settings.
    """

    name: str
    request: Callable[[PageAsked, Credentials], ApiRequest]
    read: Callable[[PageAsked, bytes], Page | None]
    reach_seconds: float
    late_seconds: float
    objects: bool = False
    every_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """A provider's lists. `base_url` is its API's public one, `needs` the credentials that must be set beside the key.

    `retried_seconds` is for how long the provider tries to deliver a webhook: what has not come by then is lost.
    `interpret` reads the states of objects (kinds of `KIND_PREFIX`); None where no list is one of objects.
    """

    base_url: str
    lists: tuple[Listing, ...]
    retried_seconds: float
    needs: tuple[str, ...] = ()
    grant: Grant | None = None
    interpret: Callable[[str, bytes], Meaning] | None = field(default=None)


def raw_items(list_of_items: bytes) -> list[bytes]:
    """Return the bytes of each item of a JSON array, which is JSON already."""
    return [bytes(item) for item in _ITEMS.decode(list_of_items)]


def raw_member(body: bytes, *path: str) -> list[bytes] | None:
    """Return the bytes of each item of the array that an object holds at this path; None where it holds none."""
    for text in (body, repaired(body)):
        try:
            found = text
            for name in path:
                found = bytes(_MEMBERS.decode(found)[name])
            return raw_items(found)
        except (KeyError, ValueError, RecursionError):
            continue
    return None


def listed_of(events: Iterable[bytes], notification_of: Callable[[bytes], Notification], made_at: str) -> list[Listed]:
    """Return the events of a page; `made_at` names the field that says when one happened."""
    return [Listed(notification_of(one), unix_seconds(value_at(read_json(one), made_at)) or 0.0) for one in events]


def worth_recalling(catalogue: Catalogue, kind: str | None) -> bool:
    """Tell whether a listed event of this kind is taken: every one but those that the catalogue says move nothing."""
    known = catalogue.kinds.get(kind or "")
    return known is None or known.decision != "nothing"


def state_id(object_id: str, state: Any) -> str:
    """Return the event id of an object's state; it names the object and the digest of what is reported of it."""
    digest = hashlib.sha256(msgspec.json.encode(state, order="deterministic")).hexdigest()
    return f"{EVENT_ID_PREFIX}{object_id}:{digest}"


def instant(unix_seconds: float) -> str:
    """Return a time as RFC 3339 has it, to the second, in UTC."""
    return dt.datetime.fromtimestamp(int(unix_seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix_seconds(value: object) -> float | None:
    """Return unix seconds of a number or of a time in RFC 3339 (UTC where it has no zone); None where it is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
