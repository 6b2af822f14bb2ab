"""Histories: what happens to a payment, and its row at the end by plain arithmetic, without facts and fold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


class Course(StrEnum):
    """What happens to a payment, by name."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    IN_PARTS = "in_parts"
    PARTIAL = "partial"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CANCELED = "canceled"
    CANCELED_EARLY = "canceled_early"
    EXPIRED = "expired"
    ADJUSTED = "adjusted"
    """The authorized amount is changed before the capture."""
    OVER_CAPTURED = "over_captured"
    """More is captured than was authorized."""
    LATE_FAILURE = "late_failure"
    """All captures fail later."""
    PART_FAILED = "part_failed"
    """Of two captures one fails later."""


AFTER_CAPTURE: Final = (Course.OVER_CAPTURED, Course.LATE_FAILURE, Course.PART_FAILED)
"""Courses for providers whose events name each capture by an id."""
WEIGHTS: Final[dict[Course, int]] = {
    Course.AUTOMATIC: 36,
    Course.MANUAL: 14,
    Course.IN_PARTS: 10,
    Course.PARTIAL: 8,
    Course.AUTHORIZED: 6,
    Course.FAILED: 6,
    Course.CANCELED: 8,
    Course.CANCELED_EARLY: 6,
    Course.EXPIRED: 6,
    Course.ADJUSTED: 8,
    Course.OVER_CAPTURED: 6,
    Course.LATE_FAILURE: 6,
    Course.PART_FAILED: 6,
}
CURRENCIES: Final = ("EUR", "USD", "GBP", "JPY", "KWD", "SEK")
AMOUNT_MIN: Final = 500
AMOUNT_MAX: Final = 250_000
PARTS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class PaymentHistory:
    """One payment, amounts in minor units. `refunds` succeed, `failed_refunds` do not, `failures` are declined.

    `failed_captures` come undone after they had succeeded, `adjusted` is reserved in place of `amount`, `rounds` says
    how each round of a dispute ends, `part` how much it is about where that is not all that was taken. `reference` is
    the merchant's own, which other payments may share, as they may `subscription`, the provider's id of what bills
    them; `livemode` false is test money, where the provider signs the mode.
    """

    course: Course
    amount: int
    currency: str
    captures: tuple[int, ...] = ()
    refunds: tuple[int, ...] = ()
    failed_refunds: tuple[int, ...] = ()
    failures: int = 0
    failed_captures: tuple[int, ...] = ()
    adjusted: int | None = None
    rounds: tuple[str, ...] = ()
    part: int | None = None
    merchant_account: str = ""
    livemode: bool = True
    reference: str = ""
    subscription: str = ""

    @property
    def total(self) -> int:
        """The requested amount at the end, in minor units."""
        return self.amount if self.adjusted is None else self.adjusted

    @property
    def contested(self) -> int:
        """The disputed amount, in minor units."""
        return sum(self.captures) if self.part is None else self.part

    @property
    def authorized(self) -> int:
        """The authorized amount at the end, in minor units."""
        return 0 if self.course in (Course.FAILED, Course.CANCELED_EARLY) else self.total


@dataclass(frozen=True, slots=True)
class End:
    """The columns of a payment's row after all of its events. Amounts are minor units."""

    status: str
    refund_status: str
    currency: str
    amount: int
    authorized: int
    captured: int
    refunded: int
    disputed: int = 0
    dispute_status: str = "none"
    flags: tuple[str, ...] = ()


def parts_of(total: int, count: int, rng: Random) -> tuple[int, ...]:
    """Split a total at random into `count` parts, each at least 1."""
    cuts = sorted(rng.sample(range(1, total), count - 1))
    return tuple(right - left for left, right in zip([0, *cuts], [*cuts, total], strict=True))


def _captures(course: Course, amount: int, rng: Random) -> tuple[int, ...]:
    if course in (Course.AUTOMATIC, Course.MANUAL, Course.ADJUSTED):
        return (amount,)
    if course is Course.IN_PARTS:
        return parts_of(amount, rng.randint(2, PARTS_MAX), rng)
    if course is Course.OVER_CAPTURED:
        return (amount + rng.randint(1, amount // 5),)
    return (rng.randint(amount // 4, amount - 1),) if course in (Course.PARTIAL, Course.PART_FAILED) else ()


def _failed_captures(course: Course, left: int) -> tuple[int, ...]:
    return (left,) if course in (Course.LATE_FAILURE, Course.PART_FAILED) else ()


def _refunds(captured: int, rng: Random) -> tuple[int, ...]:
    """Give back nothing, a part, all of it, or all of it in parts."""
    choice = rng.random()
    if not captured or choice < 0.6:  # noqa: PLR2004
        return ()
    if choice < 0.75:  # noqa: PLR2004
        return (rng.randint(1, captured - 1),)
    return (captured,) if choice < 0.85 else parts_of(captured, rng.randint(2, PARTS_MAX), rng)  # noqa: PLR2004


def _adjusted(course: Course, amount: int, rng: Random, *, upwards: bool) -> int | None:
    if course is not Course.ADJUSTED:
        return None
    return rng.randint(amount + 1, 2 * amount) if upwards else rng.randint(amount // 2, amount - 1)


def _rounds(choices: Sequence[tuple[str, ...]], rng: Random) -> tuple[str, ...]:
    return rng.choice(choices) if rng.random() < 0.15 else ()  # noqa: PLR2004


def _part(captured: int, rng: Random) -> int | None:
    """Let a dispute be about a part of what was taken, or about all of it."""
    return rng.randint(1, captured) if captured and rng.random() < 0.5 else None  # noqa: PLR2004


def invent(
    rng: Random,
    courses: tuple[Course, ...],
    *,
    upwards: bool = False,
    rounds: Sequence[tuple[str, ...]] = (("won",), ("lost",)),
) -> PaymentHistory:
    """Return a random payment of one of these courses.

    `upwards` says which way its provider adjusts what is reserved, `rounds` how a dispute may end there.
    """
    course = rng.choices(courses, [WEIGHTS[course] for course in courses])[0]
    amount = rng.randint(AMOUNT_MIN, AMOUNT_MAX)
    adjusted = _adjusted(course, amount, rng, upwards=upwards)
    total = amount if adjusted is None else adjusted
    captures = _captures(course, total, rng)
    refunds = _refunds(sum(captures), rng)
    left = sum(captures) - sum(refunds)
    failures = rng.choice((1, 1, 2)) if course is Course.FAILED or (captures and rng.random() < 0.2) else 0  # noqa: PLR2004
    return PaymentHistory(
        course=course,
        amount=amount,
        currency=rng.choice(CURRENCIES),
        captures=captures,
        refunds=refunds,
        failed_refunds=(rng.randint(1, left),) if left and rng.random() < 0.1 else (),  # noqa: PLR2004
        failures=failures,
        failed_captures=_failed_captures(course, total - sum(captures)),
        adjusted=adjusted,
        rounds=_rounds(rounds, rng) if captures and not refunds else (),
        part=_part(sum(captures), rng),
    )


def _status(history: PaymentHistory, captured: int) -> str:
    if captured:
        return "captured" if captured >= history.authorized else "partially_captured"
    return {
        Course.AUTHORIZED: "authorized",
        Course.FAILED: "failed",
        Course.LATE_FAILURE: "failed",
        Course.EXPIRED: "expired",
    }.get(history.course, "canceled")


def ending(history: PaymentHistory) -> End:
    """Return the row that a history must come to."""
    captured, refunded = sum(history.captures), sum(history.refunds)
    refund_status = "none" if not refunded else "full" if refunded == captured else "partial"
    dispute_status = history.rounds[-1] if history.rounds else "none"
    return End(
        status=_status(history, captured),
        refund_status=refund_status,
        currency=history.currency,
        amount=history.total,
        authorized=history.authorized,
        captured=captured,
        refunded=refunded,
        disputed=history.contested if dispute_status in ("lost", "open") else 0,
        dispute_status=dispute_status,
        flags=("over_captured",) if captured > history.authorized else (),
    )
