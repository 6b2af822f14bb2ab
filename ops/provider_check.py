"""Holds one provider against the contract: its requests, forgeries of them, arbitrary bytes, its lives in any order.

The files are those of the contract suite: `vectors/NAME.json` with requests and what is to become of each, and
`traces/NAME.json` with lives of payments and the rows that they come to.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator  # noqa: TC003 - a name of this module
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, permutations
from random import Random
from typing import TYPE_CHECKING, Any, Final

import providers
from consumer.facts_json import dump_reported, load_reported
from consumer.fold import newer, project
from providers.core.catalogue import Decision
from providers.core.contract import REASONS
from schemas.errors import SettingsError, SignatureRejected, UninterpretableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from providers.core.contract import Notification, Provider
    from schemas.facts import Meaning

IDENTITY: Final = ("event_id", "kind", "payment_ref")
ORDERS_MAX: Final = 720
ARBITRARY: Final = 2000
"""Bodies of arbitrary bytes, and as many that were a genuine one."""
_MONEY: Final = ("amount", "authorized", "captured", "refunded", "disputed")
COLUMNS: Final = ("status", "refund_status", "dispute_status", *_MONEY)
_WRONG: Final = {"another secret": ["a secret of nobody, long enough 0123"], "no secret": [], "an empty secret": [""]}


@dataclass(slots=True)
class CheckedPart:
    """One part of the contract: how much was tried, and what does not hold."""

    name: str
    tried: int = 0
    problems: list[str] = field(default_factory=list)

    def hold(self, what: str, *, holds: bool) -> None:
        """Count one trial."""
        self.tried += 1
        if not holds and len(self.problems) < 20:  # noqa: PLR2004 - enough to see what is wrong
            self.problems.append(what)


def read_folder(folder: Path, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a provider's cases and lives; raise SettingsError where there are no cases."""
    vectors, traces = folder / "vectors" / f"{name}.json", folder / "traces" / f"{name}.json"
    try:
        cases = json.loads(vectors.read_text())["cases"]
        lives = json.loads(traces.read_text())["lives"] if traces.exists() else []
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(f"{vectors}, the requests to check, cannot be read ({error}); see its README") from None
    return cases, lives


def check(
    name: str, cases: Sequence[dict[str, Any]], lives: Sequence[dict[str, Any]], seed: int = 1
) -> list[CheckedPart]:
    """Check a provider; LookupError for a name that is none."""
    provider = providers.find(name)
    if provider is None:
        raise LookupError(f"{name!r} is no provider; there are {', '.join(sorted(providers.names()))}")
    rng = Random(seed)  # noqa: S311 - arbitrary bytes, not secrets
    return [
        _requests(name, cases),
        _forgeries(name, cases, rng),
        _arbitrary(provider, cases, rng),
        _catalogue(provider, cases),
        _orders(name, cases, lives),
    ]


def _verify(name: str, case: Mapping[str, Any], **changed: Any) -> list[Notification] | str:
    """Return the events, or the reason of the refusal; whatever else is raised is what the contract forbids."""
    asked = {
        "headers": case["headers"],
        "body": base64.b64decode(case["body_base64"]),
        "url": case["url"],
        "secrets": case["secrets"],
        "now": case["now"],
        "config": case.get("config"),
    } | changed
    try:
        return providers.verify(name, **asked)
    except SignatureRejected as rejected:
        return rejected.reason


def _accepted(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [case for case in cases if case["expect"] == "accept"]


def _requests(name: str, cases: Sequence[dict[str, Any]]) -> CheckedPart:
    """Each request is taken, with its events, or refused with a reason of the catalogue."""
    part = CheckedPart("requests")
    part.hold("no request is genuine", holds=bool(_accepted(cases)))
    for case in cases:
        found = _verify(name, case)
        if case["expect"] == "accept":
            events = [] if isinstance(found, str) else [_identity(one) for one in found]
            wanted = (
                [{key: event.get(key) for key in IDENTITY} for event in case["events"]] if "events" in case else events
            )
            what = found if isinstance(found, str) else "other events than expected"
            part.hold(f"{case['name']}: {what}", holds=not isinstance(found, str) and events == wanted)
        else:
            part.hold(
                f"{case['name']}: is taken, or refused without a reason",
                holds=isinstance(found, str) and found in REASONS,
            )
    return part


def _identity(one: Notification) -> dict[str, Any]:
    return {name: getattr(one, name) for name in IDENTITY}


def _forgeries(name: str, cases: Sequence[dict[str, Any]], rng: Random) -> CheckedPart:
    """Alter genuine requests: each is refused, or what was signed is still what is read."""
    part, provider = CheckedPart("forgeries"), providers.find(name)
    for case in _accepted(cases):
        genuine = _verify(name, case)
        if provider is None or isinstance(genuine, str) or case.get("trust", "verified") != "verified":
            continue
        for what, changed in _altered(case, rng):
            found = _verify(name, case, **changed)
            same = isinstance(found, str) or _read(provider, found) == _read(provider, genuine)
            part.hold(f"{case['name']}: {what} is taken", holds=same)
        for what, secrets in _WRONG.items():
            found = _verify(name, case, secrets=secrets)
            part.hold(f"{case['name']}: {what} is taken", holds=isinstance(found, str))
    return part


def _read(provider: Provider, found: Sequence[Notification]) -> list[Any]:
    """Return what is read of a request: what its provider signs of identity and kind, and what the body says."""
    read: list[Any] = []
    for one in found:
        meaning = _meaning(provider.name, one.kind or "", one.body) if provider.kind_signed else None
        read += [
            one.event_id if provider.event_id_signed else None,
            one.kind if provider.kind_signed else one.body,
            one.payment_ref,
            (meaning.refs, meaning.facts, meaning.currency, meaning.amount) if meaning is not None else None,
        ]
    return read


def _altered(case: Mapping[str, Any], rng: Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield requests in which a byte, a header or the end is another."""
    body, headers = base64.b64decode(case["body_base64"]), dict(case["headers"])
    for place in sorted(rng.sample(range(len(body)), min(len(body), 200))):
        yield f"byte {place} altered", {"body": body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]}
    yield "a body with more", {"body": body + b" "}
    yield "a body without its end", {"body": body[:-1]}
    yield "an empty body", {"body": b""} if body else {"body": b"x"}
    for name in headers:
        yield f"no {name}", {"headers": {key: value for key, value in headers.items() if key != name}}


def _arbitrary(provider: Provider, cases: Sequence[dict[str, Any]], rng: Random) -> CheckedPart:
    """Arbitrary bytes raise what the contract names, and nothing else."""
    part, genuine = CheckedPart("arbitrary bytes"), _accepted(cases)
    bodies = [base64.b64decode(case["body_base64"]) for case in genuine]
    found = [_verify(provider.name, case) for case in genuine]
    kinds = [one.kind or "" for events in found if not isinstance(events, str) for one in events]
    for number in range(ARBITRARY):
        noise = rng.randbytes(rng.randint(0, 200))
        body = noise if number % 2 or not bodies else _torn(rng.choice(bodies), noise, rng)
        if genuine:
            headers = {name: noise.decode("latin-1") for name in rng.choice(genuine)["headers"]}
            _raises_only(
                part,
                SignatureRejected,
                partial(_verify, provider.name, rng.choice(genuine), body=body, headers=headers),
            )
        kind = rng.choice(kinds) if kinds else "kind"
        if provider.interpret is not None:
            _raises_only(part, UninterpretableError, partial(provider.interpret, kind, body))
    return part


def _torn(body: bytes, noise: bytes, rng: Random) -> bytes:
    start, end = sorted(rng.randint(0, len(body)) for _ in range(2))
    return body[:start] + noise + body[end:]


def _raises_only(part: CheckedPart, allowed: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except allowed:
        part.tried += 1
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        part.hold(f"raised {type(error).__name__}: {error}"[:200], holds=isinstance(error, ValueError | RecursionError))
    else:
        part.tried += 1


def _catalogue(provider: Provider, cases: Sequence[dict[str, Any]]) -> CheckedPart:
    """Hold events against what the catalogue says of their kinds; one that it does not know says nothing."""
    part, catalogue = CheckedPart("catalogue"), provider.catalogue
    if catalogue is None:
        return part
    for case in _accepted(cases):
        found = _verify(provider.name, case)
        for one in () if isinstance(found, str) else found:
            known = catalogue.kinds.get(one.kind or "")
            meaning = _meaning(provider.name, one.kind or "", one.body)
            silent = meaning is None or not meaning.facts
            if known is None:
                part.hold(f"{one.kind} says something and is not in the catalogue", holds=silent)
            elif known.decision is Decision.NOTHING:
                part.hold(f"{one.kind} says something", holds=silent)
    return part


def _meaning(name: str, kind: str, body: bytes) -> Meaning | None:
    try:
        return providers.interpret(name, kind, body)
    except UninterpretableError:
        return None


def _orders(name: str, cases: Sequence[dict[str, Any]], lives: Sequence[dict[str, Any]]) -> CheckedPart:
    """Play lives in every order, every event twice: each comes to its row."""
    part, by_name = CheckedPart("orders"), {case["name"]: case for case in cases}
    for life in lives:
        facts = [reported for event in life["events"] if (reported := _facts(name, by_name, event)) is not None]
        row = life.get("row") or (life.get("rows") or [{}])[0]
        if len(facts) < len(life["events"]) or len(life.get("rows", [1])) != 1:
            continue
        for order in islice(permutations(facts), ORDERS_MAX):
            held: dict[Any, Any] = {}
            for reported in (*order, *order):
                held |= newer(held, load_reported(reported))
            shown = project(held)
            wrong = {
                name: getattr(shown, name) for name in COLUMNS if name in row and getattr(shown, name) != row[name]
            }
            part.hold(f"{life['name']}: {wrong}", holds=not wrong)
    return part


def _facts(name: str, by_name: Mapping[str, dict[str, Any]], event: Mapping[str, Any]) -> str | None:
    """Return what one event of a life says; None for an intent, which is no event of the provider's."""
    if "intent" in event:
        return None
    if "case" in event:
        found = _verify(name, by_name[event["case"]])
        if isinstance(found, str):
            return None
        one = found[event.get("item", 0)]
        kind, body = one.kind or "", one.body
    else:
        reported = event["body"]
        kind, body = event["kind"], reported.encode() if isinstance(reported, str) else json.dumps(reported).encode()
    meaning = _meaning(name, kind, body)
    return None if meaning is None else dump_reported(meaning.facts)
