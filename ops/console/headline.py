"""What the board says first: the worst of what a person should look at, in one sentence with a link; pure."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ops.console.outcomes import DEAD, REFUSED
from ops.console.words import age, plural, spaced
from ops.status import RoleState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ops.console.board_poller import BoardLook
    from ops.console.outcomes import Minute

OLDEST_LOUD_SECONDS: Final = 30.0
"""Past this an event that waits is worth a word: the consumer should have applied it long ago."""
SHARE_MIN: Final = 0.05
"""Of a provider's events in a minute, the share that has to fail for the minute to belong to an incident."""
STILL: Final = dt.timedelta(minutes=10)
"""An incident goes on for as long as its last failure is no older."""
APART: Final = dt.timedelta(minutes=30)
"""Failures further apart are two incidents."""
ALL: Final = 0.995
FAILURES: Final = {
    DEAD: "have become dead letters",
    REFUSED: "have been refused at the ingress",
    "conflict": "have contradicted what is known",
}
"""What may go wrong with a provider's events, the worst first, and how the sentence says it."""
NOBODY: Final = "none"
"""Whose the ingress calls requests that name no provider of ours: scanners are no incident."""


@dataclass(frozen=True, slots=True)
class Worry:
    """Something to look at. `key` names it however its figures grow; `link` leads to it, where a page shows it."""

    key: str
    text: str
    link: str | None = None
    bad: bool = True


@dataclass(frozen=True, slots=True)
class Incident:
    """Events of one provider that fail in the same way: since when, how many, of how many, why (reason to events)."""

    provider: str
    outcome: str
    since: dt.datetime
    failed: int
    total: int
    reasons: Mapping[str, int]

    def worry(self, now: dt.datetime) -> Worry:
        """Return it as the sentence that the board shows, with its link."""
        since = f"{self.since:%H:%M}" if self.since.date() == now.date() else f"{self.since:%Y-%m-%d %H:%M}"
        text = (
            f"{owner(self.provider)} {FAILURES[self.outcome]} since {since} UTC: "
            f"{self.failed:,} of {self.total:,}{_reasons(self.reasons)}"
        )
        key = f"{self.outcome} {self.provider} {self.since:%d %H:%M}"
        return Worry(key, text, self._link(), bad=self.outcome != REFUSED)

    def _link(self) -> str | None:
        if self.outcome != DEAD:
            return None
        chosen = {"provider": self.provider, "since": f"{self.since:%Y-%m-%dT%H:%MZ}", "status": "open"}
        only = next(iter(self.reasons)) if len(self.reasons) == 1 else None
        return "/dead-letters?" + urlencode(chosen | ({"reason": only} if only else {}))


def owner(provider: str) -> str:
    """Return whose events they are, as a sentence begins with it: `Adyen's webhooks`."""
    named = {"intents": "Intents of clients", "unknown": "Records without a source"}
    if provider in named:
        return named[provider]
    name = spaced(provider).capitalize()
    return name if name.endswith(" webhooks") else f"{name}'s webhooks"


def _reasons(reasons: Mapping[str, int]) -> str:
    """Return the reason that most of them have, with their number; empty where none has one."""
    counted = {reason: count for reason, count in reasons.items() if reason}
    if not counted:
        return ""
    most, count = max(counted.items(), key=lambda one: one[1])
    return f", all {most}" if count >= ALL * sum(counted.values()) else f", most of them {most} ({count:,})"


def incidents(minutes: Sequence[Minute], now: dt.datetime) -> list[Incident]:
    """Return what goes wrong now, the worst first."""
    by_provider: dict[str, list[Minute]] = defaultdict(list)
    for minute in minutes:
        by_provider[minute.provider].append(minute)
    found = [
        incident
        for provider, own in by_provider.items()
        for outcome in FAILURES
        if provider != NOBODY and (incident := _incident(provider, outcome, own, now)) is not None
    ]
    order = list(FAILURES)
    return sorted(found, key=lambda one: (order.index(one.outcome), -one.failed))


def _incident(provider: str, outcome: str, minutes: Sequence[Minute], now: dt.datetime) -> Incident | None:
    """Walk back from the newest failure, through every minute in which enough of the provider's events failed."""
    totals, failed = _by_minute(minutes), _by_minute(one for one in minutes if one.outcome == outcome)
    loud = sorted((at for at, count in failed.items() if count >= SHARE_MIN * totals[at]), reverse=True)
    if not loud or now - loud[0] > STILL:
        return None
    since = loud[0]
    for at in loud[1:]:
        if since - at > APART:
            break
        since = at
    reasons: Counter[str] = Counter()
    for one in minutes:
        if one.outcome == outcome and one.began_at >= since:
            reasons[one.detail] += one.events
    total = sum(count for at, count in totals.items() if at >= since)
    return Incident(provider, outcome, since, reasons.total(), total, reasons)


def _by_minute(minutes: Iterable[Minute]) -> Counter[dt.datetime]:
    counts: Counter[dt.datetime] = Counter()
    for one in minutes:
        counts[one.began_at] += one.events
    return counts


def worries(look: BoardLook) -> list[Worry]:
    """Return what a person should look at, the worst first; nothing where all is well."""
    found = [Worry(problem, problem) for problem in look.problems]
    found += [
        Worry(
            f"{one.role} {one.state}",
            f"{one.role} is {one.state}" + (f": {one.reason}" if one.reason else ""),
            "#roles",
        )
        for one in look.roles
        if one.state is not RoleState.RUNNING
    ]
    running = incidents(look.outcomes.minutes, look.at) if look.outcomes else []
    found += [one.worry(look.at) for one in running]
    if look.oldest_seconds is not None and look.oldest_seconds > OLDEST_LOUD_SECONDS:
        found.append(
            Worry("oldest", f"an accepted event has waited for {age(look.oldest_seconds)} for the consumer", "#lags")
        )
    return found + _open_letters(look, running)


def _open_letters(look: BoardLook, running: Sequence[Incident]) -> list[Worry]:
    """Say how many dead letters wait for a person, and for how long."""
    count = sum((look.letters or {}).values())
    if not count:
        return []
    text = plural(count, "dead letter is open", "dead letters are open")
    oldest, newest = look.letters_since or (None, None)
    if oldest is not None and newest is not None:
        since = age((look.at - oldest).total_seconds())
        text += f", for {since}" if count == 1 else f", the oldest for {since}"
        if count > 1 and not any(one.outcome == DEAD for one in running):
            text += f", the newest for {age((look.at - newest).total_seconds())}"
    if look.noted:
        text += "; a note says what is known of " + ("each" if look.noted >= count else f"{look.noted:,}")
    return [Worry("letters", text, "/dead-letters?status=open", bad=False)]
