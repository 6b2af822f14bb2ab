"""What each payment provider reports and how it proves that it did: one file a provider.

A provider's file holds its signature scheme, how its body splits into events, where an event names its payment, and
what its kinds mean as facts. It is pure: no clock, no I/O, no logger; `now`, secrets and certificates come as
arguments. Machinery that several providers share lives in `providers.core`. Every other module of this folder defines
`PROVIDER` and is found by its name: adding a provider is adding a file. A package of its own adds one too, by an entry
point of the group `ratchet.providers` whose name is the provider's and which names its `Provider`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import replace
from functools import cache, lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from providers.core.contract import HeaderValues, Notification, Provider, SignedRequest
from providers.core.meaning import checked, undecodable
from providers.core.proof import body_digest
from providers.core.reading import plain, storable
from providers.core.recall import KIND_PREFIX as RECALLED
from providers.core.refetch import KIND_PREFIX
from schemas.dead_letter import Reason
from schemas.errors import SettingsError, SignatureRejected, UninterpretableError
from schemas.facts import Meaning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from providers.core.refetch import Called

__all__ = ["find", "interpret", "names", "paying", "verify", "work"]


ENTRY_POINTS: Final = "ratchet.providers"
"""The group of entry points by which packages of their own add providers."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,63}\Z")


@cache
def built_in() -> frozenset[str]:
    """Return the names of the providers that are modules of this folder."""
    return frozenset(module.name for module in pkgutil.iter_modules(__path__) if module.name != "core")


@cache
def from_outside() -> dict[str, metadata.EntryPoint]:
    """Return the providers that installed packages add, by name. A name of ours stays ours: nobody takes it over."""
    found = {one.name: one for one in metadata.entry_points(group=ENTRY_POINTS) if _NAME.match(one.name)}
    return {name: one for name, one in found.items() if name not in built_in()}


@cache
def names() -> frozenset[str]:
    """Return the names of all providers: the modules of this folder, and what installed packages add."""
    return built_in() | from_outside().keys()


@cache
def _load(name: str) -> Provider:
    if name in built_in():
        provider: Provider = importlib.import_module(f"{__name__}.{name}").PROVIDER
        return provider
    return _load_from_outside(name, from_outside()[name])


def _load_from_outside(name: str, entry: metadata.EntryPoint) -> Provider:
    """Import a package's provider; raise SettingsError, naming the package, where that is none."""
    package = entry.dist.name if entry.dist else entry.value
    try:
        found = entry.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise SettingsError(
            f"provider {name} of package {package} cannot be imported ({reason}); mend the package, or remove it"
        ) from error
    if not isinstance(found, Provider) or found.name != name:
        raise SettingsError(
            f"provider {name} of package {package}: {entry.value} is no Provider of that name; mend or remove it"
        )
    return found


def find(name: str) -> Provider | None:
    """Return the provider of that name, importing its file on first use, or None.

    Raises SettingsError for one of an installed package that can't be used.
    """
    return _load(name) if name in names() else None


@cache
def paying() -> tuple[str, ...]:
    """Return the names of the providers that payments can be made with, sorted: those that an intent may name."""
    return tuple(name for name in sorted(names()) if _load(name).payments)


@lru_cache(maxsize=1024)
def meaning_version(source: str) -> int:
    """Return the version of what the events of a source (`provider[/account]`) mean; 1 of what is no provider."""
    found = find(source.partition("/")[0])
    return 1 if found is None else found.meaning_version


@lru_cache(maxsize=1024)
def ids_span_accounts(name: str) -> bool:
    """Tell whether a provider makes each of its ids once for all merchant accounts; False of what is no provider."""
    found = find(name)
    return found is not None and found.ids_span_accounts


def verify(  # noqa: PLR0913 - the signature is part of the public contract
    provider: str,
    *,
    headers: HeaderValues,
    body: bytes,
    url: str,
    secrets: Sequence[str],
    now: float,
    config: Mapping[str, Any] | None = None,
) -> list[Notification]:
    """Return the events of one genuine webhook request, in the order in which it holds them; it may hold none.

    `headers` maps a name (no case) to a text or a list of texts; `url` is the public one as configured; `secrets` are
    all live ones; `now` is unix seconds; `config` is what a provider needs beside secrets. Raises SignatureRejected and
    nothing else for whatever comes in; LookupError for a provider that does not exist, and SettingsError for one of an
    installed package that can't be used.
    """
    found = find(provider)
    if found is None:
        raise LookupError(f"{provider!r} is no provider; there are {', '.join(sorted(names()))}")
    try:
        live = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        request = SignedRequest(_normalised(headers), body, url, live, now, config or {})
        return [_storable(notification) for notification in found.verify(request)]
    except SignatureRejected:
        raise
    except Exception as error:
        raise SignatureRejected("malformed_body", f"checking raised {type(error).__name__}") from error


def work(provider: str, headers: Mapping[str, Sequence[str]], body_bytes: int) -> int:
    """Return what a check will cost, in bytes to be hashed; headers have lower-case names. See `Provider.work`."""
    found = find(provider)
    return body_bytes if found is None else found.work(headers, body_bytes)


def interpret(provider: str, kind: str, body: bytes, event_id: str = "") -> Meaning:
    """Return what one event says; `kind`, `body` and `event_id` are those of its Notification.

    Raises UninterpretableError and nothing else: `undecodable`, `unknown_kind`, or `unexpected` for an exception that
    nobody foresaw; LookupError for a provider that does not exist.
    """
    found = find(provider)
    if found is None:
        raise LookupError(f"{provider!r} is no provider")
    try:
        if kind.startswith(KIND_PREFIX) and found.refetch is not None:
            if found.refetch.interpret_part is not None:
                return checked(found.refetch.interpret_part(kind, body, event_id))
            return checked(found.refetch.interpret(kind, body))
        if kind.startswith(RECALLED) and found.recall is not None and found.recall.interpret is not None:
            return checked(found.recall.interpret(kind, body))
        if found.interpret is None:
            return _says_nothing(kind, body)
        if found.interpret_part is not None:
            return checked(found.interpret_part(kind, body, event_id))
        return checked(found.interpret(kind, body))
    except UninterpretableError:
        raise
    except (ValueError, RecursionError) as error:
        raise undecodable(f"interpreting raised {type(error).__name__}") from error
    except Exception as error:
        raise UninterpretableError(Reason.UNEXPECTED, f"interpreting raised {type(error).__name__}") from error


def named_by_hint(provider: str, body: bytes) -> str | None:
    """Return the id to read again at the provider's API that an unsigned body names, or None.

    Nothing else of such a body is looked at. Raises nothing.
    """
    found = find(provider)
    try:
        named = found.named(body) if found is not None and found.named is not None else None
    except Exception:  # noqa: BLE001 - whatever a stranger's body does to a reader, it names nothing then
        return None
    return named if named is not None and plain(named) else None


def all_named_by_hint(provider: str, body: bytes) -> tuple[tuple[str, str | None], ...]:
    """Return the ids to read again that an unsigned body names, each with what it belongs to, or None. Raises nothing.

    Whether the second id belongs there, only the provider's API knows.
    """
    first, found = named_by_hint(provider, body), find(provider)
    try:
        second = found.also_named(body) if found is not None and found.also_named is not None else None
    except Exception:  # noqa: BLE001 - as above
        second = None
    also = () if second is None or not all(plain(one) for one in second) else (second,)
    return (*(() if first is None else ((first, None),)), *also)


def answer_to_query(provider: str, body: bytes) -> Called | None:
    """Return what an unsigned body says as the answer to a query of ours, or None. Raises nothing."""
    found = find(provider)
    query = None if found is None or found.refetch is None else found.refetch.query
    try:
        called = None if query is None else query.answered(body)
    except Exception:  # noqa: BLE001 - as above
        return None
    if called is None or not plain(called.query):
        return None
    return called if called.fetched is None or plain(called.fetched.ref) else None


def _says_nothing(kind: str, body: bytes) -> Meaning:
    """Return the empty meaning of a provider whose events are not about payments; an event of no kind is broken."""
    if not kind or not body:
        raise undecodable("the event names no kind, or its body is empty")
    return Meaning()


def _normalised(headers: HeaderValues) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for name, value in headers.items():
        lower = name.lower()
        values[lower] = values.get(lower, ()) + ((value,) if isinstance(value, str) else tuple(value))
    return values


def _storable(notification: Notification) -> Notification:
    """Drop identities that could not be stored; an event id that was there becomes the body's digest."""
    event_id, kind, ref = notification.event_id, notification.kind, notification.payment_ref
    if event_id and not storable(event_id):
        return replace(_storable(replace(notification, event_id=None)), event_id=body_digest(notification.body))
    return replace(
        notification,
        event_id=event_id or None,
        kind=kind if kind and storable(kind) else None,
        payment_ref=ref if ref and storable(ref) else None,
    )
