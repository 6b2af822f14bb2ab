"""The children of a payment, and the sums that they come to. Pure.

What was asked for, reserved and captured stands here, one property or function a rule; `consumer.refunds` has what was
given back of it, `consumer.payment_attempts` how it was tried to pay. `consumer.fold` reads the row off them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.refunds import TakenMoney, given_back, is_cancel
from schemas.facts import INTENT, ChildState, FactKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.payment import Facts

_NONE: Final[dict[str, ChildState]] = {}
_AUTHORIZATION: Final = FactKind.AUTHORIZATION
_CAPTURE: Final = FactKind.CAPTURE
_CAPTURE_TOTAL: Final = FactKind.CAPTURE_TOTAL
_REFUND: Final = FactKind.REFUND
_MODE: Final = FactKind.MODE
_VOID: Final = FactKind.VOID


class Children:
    """A payment's children by kind, with the sums of its money. All amounts are minor units."""

    __slots__ = (
        "_by_kind",
        "_captures",
        "_gross",
        "_net",
        "_order_ended",
        "_reserved",
        "_undone",
        "_void",
        "authorized",
        "captured",
        "captured_ever",
        "ends",
        "has_cancels",
        "intent_amount",
        "live",
        "refunded",
        "total",
    )

    def __init__(self, facts: Facts) -> None:
        by_kind: dict[FactKind, dict[str, ChildState]] = {}
        for (kind, key), state in facts.items():
            group = by_kind.get(kind)
            if group is None:
                by_kind[kind] = {key: state}
            else:
                group[key] = state
        self._by_kind = by_kind
        self._read_terms()
        ends = by_kind.get(FactKind.END, _NONE)
        self.ends = {key: state.name for key, state in ends.items() if state.name != "closed"} if ends else {}
        self._captures = by_kind.get(_CAPTURE, _NONE)
        self._reserved = self._reserve()
        self._order_ended = bool(self.ends) and self._is_order_ended(ends)
        self._void: set[str] = set()
        if _VOID in by_kind or self.ends:
            self._void = {key for key, state in self.of(_AUTHORIZATION).items() if self._is_void(key, state)}
        self._take()

    def of(self, kind: FactKind) -> Mapping[str, ChildState]:
        """Return the children of one kind, by key."""
        return self._by_kind.get(kind, _NONE)

    # --- terms ---

    def _read_terms(self) -> None:
        """Read what the client asked for, and the provider's own total: the largest of its objects'."""
        terms = self._by_kind.get(FactKind.TERMS, _NONE)
        self.intent_amount = terms[INTENT].amount if INTENT in terms else None
        own = [state.amount or 0 for key, state in terms.items() if key != INTENT]
        self.total = max(own) if own else None

    def _whole(self, payment: str | None) -> int:
        """Return what a capture without amount comes to: what its payment asks for, else the client, else in all."""
        own = self._by_kind.get(FactKind.TERMS, _NONE).get(payment or "")
        if own is not None and own.amount is not None:
            return own.amount
        return (self.total or 0) if self.intent_amount is None else self.intent_amount

    @property
    def asked(self) -> int:
        """What a payment in full comes to: what the client asked for, else the provider's total, else its holds."""
        if self.intent_amount is not None:
            return self.intent_amount
        return self.authorized if self.total is None else self.total

    @property
    def amount(self) -> int:
        """The figure to show; before anything else is known, what the attempts asked for."""
        attempts = self._by_kind.get(FactKind.ATTEMPT, _NONE)
        return self.asked or max([state.amount or 0 for state in attempts.values()], default=0)

    @property
    def amount_differs(self) -> bool:
        """Tell whether the intent's and the provider's totals differ: its largest is more, or its sum less."""
        if self.intent_amount is None or self.total is None:
            return False
        terms = self._by_kind.get(FactKind.TERMS, _NONE)
        together = sum(state.amount or 0 for key, state in terms.items() if key != INTENT)
        return self.total > self.intent_amount or together < self.intent_amount

    # --- authorizations ---

    def _reserve(self) -> dict[str, int]:
        """Return what each authorization reserves that no other one took the place of, adjusted."""
        authorizations = self._by_kind.get(_AUTHORIZATION, _NONE)
        reserved = {key: state.amount or 0 for key, state in authorizations.items()}
        if FactKind.ADJUSTMENT in self._by_kind:
            reserved |= {key: latest for key, (_, latest) in self._latest_adjustments().items() if key in reserved}
        for key in self._replaced(authorizations):
            reserved.pop(key, None)
        return reserved

    def _latest_adjustments(self) -> dict[str, tuple[int, int]]:
        latest: dict[str, tuple[int, int]] = {}
        for state in self._by_kind.get(FactKind.ADJUSTMENT, _NONE).values():
            key = state.parent or ""
            figure = state.version, state.amount or 0
            latest[key] = max(latest.get(key, figure), figure)
        return latest

    def _replaced(self, authorizations: Mapping[str, ChildState]) -> set[str]:
        """Return the authorizations whose place another one took; one that was captured keeps it."""
        places: dict[str, list[tuple[int, str]]] = {}
        for key, state in authorizations.items():
            if state.replaces:
                places.setdefault(state.replaces, []).append((state.version, key))
        if not places:
            return set()
        used = {state.parent for state in self._captures.values() if state.name == "succeeded"}
        rivals = {key for those in places.values() for _, key in those}
        stand = {max(those, key=lambda one: (one[1] in used, one))[1] for those in places.values()}
        return places.keys() | (rivals - stand)

    def _is_void(self, key: str, state: ChildState) -> bool:
        """Tell whether an authorization was released: by itself, or with its payment."""
        return key in self._by_kind.get(_VOID, _NONE) or self.is_ended(key, state)

    def is_ended(self, key: str, state: ChildState) -> bool:
        """Tell whether a child is of a payment that was ended: it, its parent, or its parent's."""
        if not self.ends:
            return False
        if key in self.ends or state.parent in self.ends or self._order_ended:
            return True
        parent = self._by_kind.get(FactKind.ATTEMPT, _NONE).get(state.parent or "")
        return parent is not None and parent.parent in self.ends

    def _is_order_ended(self, ends: Mapping[str, ChildState]) -> bool:
        """Tell whether an order of several parts was given up, and its parts are all that there is."""
        parts = sum(self._reserved.values())
        return any(state.parent == INTENT and state.amount and parts < state.amount for state in ends.values())

    # --- captures ---

    def _take(self) -> None:
        """Add the captures up by the authorization that they name; `None` is for those that name none.

        `gross` is what was ever taken, and uses an authorization for good; `net` is less what came undone.
        """
        gross: dict[str | None, int] = {}
        net: dict[str | None, int] = {}
        self._undone = undone = self._undone_by_capture() if FactKind.REVERSAL in self._by_kind else {}
        for key, state in self._captures.items():
            if state.name == "succeeded":
                parent = state.parent
                amount = self._rest(state) if state.amount is None else state.amount
                gross[parent] = gross.get(parent, 0) + amount
                net[parent] = net.get(parent, 0) + (max(amount - undone.get(key, 0), 0) if undone else amount)
        self._gross, self._net = gross, net
        if _CAPTURE_TOTAL in self._by_kind:
            self._count_totals()
        for payment, amount in undone.items():
            if payment not in self._captures:
                self._take_back(payment, amount)
        if _MODE in self._by_kind:
            self._imply(undone)
        self.captured, self.captured_ever = sum(net.values()), sum(gross.values())
        self._give_back()
        self._sum_authorizations()

    def _give_back(self) -> None:
        """Add the refunds up, and release what those that were cancels canceled."""
        refunds = self._by_kind.get(_REFUND, _NONE)
        taken = TakenMoney(self._reserved, self._gross, self.captured_ever)
        canceled = [state.parent or "" for state in refunds.values() if is_cancel(state, taken)]
        self._void.update(canceled)
        self.has_cancels = bool(canceled)
        self.refunded = given_back(refunds, self._by_kind.get(FactKind.REFUND_TOTAL, _NONE), taken)

    def captured_of(self, dispute: str) -> int:
        """Return what was captured of the payment that a dispute names, in all where nothing shows which part is its.

        An intent's row adds up several payments: a dispute of one takes nothing of the others.
        """
        state = self.of(FactKind.DISPUTE).get(dispute)
        payment = None if state is None else state.parent
        if payment is None or self._net.get(None):
            return self.captured
        own = [key for key, one in self.of(_AUTHORIZATION).items() if one.parent == payment and key != payment]
        found = [self._net[key] for key in (payment, *own) if key in self._net]
        return sum(found) if found else self.captured

    def _rest(self, capture: ChildState) -> int:
        """Return what a capture of all that was asked for comes to beside its siblings that tell their amounts."""
        siblings = (one for one in self._captures.values() if one.parent == capture.parent)
        reported = sum([one.amount or 0 for one in siblings if one.name == "succeeded"])
        return max(self._whole(capture.parent) - reported, 0)

    def _count_totals(self) -> None:
        """Count as taken what cumulative figures tell beyond the captures that are known by id."""
        for key, total in self._by_kind[_CAPTURE_TOTAL].items():
            reported = [one for one in self._captures.values() if one.name == "succeeded" and self._is_of(one, key)]
            whole = self._whole(key) if total.amount is None else total.amount
            beyond = whole - sum([self._whole(one.parent) if one.amount is None else one.amount for one in reported])
            if beyond > 0:
                self._gross[None] = self._gross.get(None, 0) + beyond
                self._net[None] = self._net.get(None, 0) + beyond

    def _take_back(self, payment: str, amount: int) -> None:
        """Take what came undone of a payment, no capture of which is named, off what it took and off its total."""
        for place in (payment, None) if payment in self.of(_CAPTURE_TOTAL) else (payment,):
            back = min(amount, self._net.get(place, 0))
            if back:
                self._net[place] -= back
                amount -= back

    def _is_of(self, capture: ChildState, payment: str) -> bool:
        """Tell whether a capture is of the payment: it names it, an authorization of it, or nothing that is known."""
        authorization = self._by_kind.get(_AUTHORIZATION, _NONE).get(capture.parent or "")
        known = capture.parent if authorization is None else authorization.parent
        return known in (None, payment) or (authorization is None and known not in self._by_kind[_CAPTURE_TOTAL])

    def _undone_by_capture(self) -> dict[str, int]:
        """Return how much of each capture was reversed; a capture that was made anew since is whole again."""
        undone: dict[str, int] = {}
        for key, state in self._by_kind.get(FactKind.REVERSAL, _NONE).items():
            target = state.parent or key
            capture = self._captures.get(target)
            anew = key == target and capture is not None and capture.version > state.version
            if state.name != "canceled" and not anew:
                known = capture.amount if capture else None
                whole = self._whole(capture.parent if capture else target) if known is None else known
                undone[target] = undone.get(target, 0) + (whole if state.amount is None else state.amount)
        return undone

    def _imply(self, undone: dict[str, int]) -> None:
        """Count as taken what a provider takes at once and tells by the authorization alone.

        A capture that is reported says what was taken; a void proves that this much was never taken.
        """
        modes = self._by_kind.get(_MODE, _NONE)
        asked = modes.get(INTENT)
        automatic = asked is not None and asked.name == "automatic"
        failed: dict[str | None, int] = {}
        for key, amount in undone.items():
            capture = self._captures.get(key)
            parent = capture.parent if capture else key
            failed[parent] = failed.get(parent, 0) + amount
        for key, amount in self._reserved.items():
            mode = modes.get(key)
            refunded = mode is not None and mode.name == "automatic" and self._order_ended
            void = key in self._void and not (refunded and key not in self._by_kind.get(_VOID, _NONE))
            if mode is None or void or key in self._gross or None in self._gross:
                continue
            if mode.name == "automatic" or (mode.name == "account" and automatic) or self._part_given_back(key, amount):
                self._gross[key] = amount
                self._net[key] = max(amount - failed.get(key, 0), 0)

    def _part_given_back(self, key: str, amount: int) -> bool:
        """Tell whether a part of an authorization was canceled or refunded: only a refund can be of a part."""
        refunds = self._by_kind.get(_REFUND, _NONE).values()
        return any(one.name == "either" and one.parent == key and one.amount and one.amount < amount for one in refunds)

    def _sum_authorizations(self) -> None:
        """Add up what is live or used; where all was released, what it had been, and what captures proved."""
        gross, void, reserved = self._gross, self._void, self._reserved
        if not reserved and self.captured == self.captured_ever:
            self.authorized, self.live = self.captured, 0
            return
        counted = released = live = 0
        for key, amount in reserved.items():
            if key in void and key not in gross:
                released += amount
            else:
                counted += amount
                live += amount if key not in gross else 0
        known = self._by_kind.get(_AUTHORIZATION, _NONE)
        proven = sum([amount for key, amount in gross.items() if key not in known and (key is not None or not known)])
        replaced = sum([amount for key, amount in gross.items() if key in known and key not in reserved])
        if proven and not self.captured:
            proven = max([one.amount or self._whole(one.parent) for one in self._captures.values()], default=proven)
        self.authorized = (counted + proven + replaced) or released
        self.live = max(live - gross.get(None, 0), 0)

    @property
    def is_live(self) -> bool:
        """Tell whether an authorization is live and not used up, also one of an amount of 0."""
        if self.live:
            return True
        return any(
            not amount and key not in self._void and key not in self._gross for key, amount in self._reserved.items()
        )

    @property
    def paid_nothing(self) -> bool:
        """Tell whether a payment of 0 is paid: a card that was checked, an order of 0."""
        if self.asked or self.captured_ever:
            return False
        return self.is_live or any(one == 0 or (one is None and self._is_asked) for one in self._amounts_taken())

    @property
    def takes_unknown(self) -> bool:
        """Tell whether money was taken, and not taken back, of which nothing tells how much."""
        return self._took_unknown and not self._undone

    @property
    def _took_unknown(self) -> bool:
        return not self._is_asked and None in self._amounts_taken()

    @property
    def _is_asked(self) -> bool:
        """Tell whether anything tells what was asked for."""
        return self.intent_amount is not None or self.total is not None

    def _amounts_taken(self) -> list[int | None]:
        """Return what captures and totals tell; `None` is all that was asked for."""
        taken = (*self._captures.values(), *self.of(_CAPTURE_TOTAL).values())
        return [one.amount for one in taken if one.name == "succeeded"]

    @property
    def undone(self) -> bool:
        """Tell whether captured money came undone, all of it, or what of it nothing tells how much it was."""
        return self.captured == 0 and (self.captured_ever > 0 or (bool(self._undone) and self._took_unknown))

    @property
    def over_captured(self) -> bool:
        """Tell whether more was captured than was authorized, where an authorization is known."""
        reserved = self._reserved
        if not reserved:
            return False
        for key, amount in self._net.items():
            if amount > reserved.get(key or "", amount):
                return True
        return None in self._net and self.captured > self.authorized

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing more will be taken: the payment was ended, or the rest of what it reserved released."""
        if self._by_kind.get(FactKind.END, _NONE):
            return True
        return bool(self._void) and self._reserved.keys() <= self._void

    @property
    def contradicts(self) -> bool:
        """Tell whether facts say what can't be true together.

        A void or an end of what was captured in full and not given back; adjustments to different figures of which
        nothing says which came last; an event that named another payment too.
        """
        by_kind = self._by_kind
        if FactKind.MEETING in by_kind:
            return True
        if _VOID not in by_kind and not self.ends and FactKind.ADJUSTMENT not in by_kind:
            return False
        voids = {key for key, state in self._by_kind.get(_VOID, _NONE).items() if state.name != "failed"}
        unnamed = self._net.get(None, 0) if len(self._reserved) == 1 else 0
        for key, amount in self._reserved.items():
            if key in voids and self._net.get(key, 0) + unnamed >= amount > 0:
                return True
        ended = bool(self.ends) and self.captured >= self.asked > 0 and self.refunded < self.captured
        return ended or self._adjusted_twice()

    def _adjusted_twice(self) -> bool:
        adjustments = self._by_kind.get(FactKind.ADJUSTMENT, _NONE)
        latest = self._latest_adjustments()
        return any(
            (state.version, state.amount or 0) != latest[state.parent or ""]
            and state.version == latest[state.parent or ""][0]
            for state in adjustments.values()
        )
