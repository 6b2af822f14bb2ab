"""Stories: what a payment goes through, and how it must end. Plain arithmetic, no facts and no fold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random


class Course(StrEnum):
    """What a payment goes through."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    IN_PARTS = "in_parts"
    PARTIAL = "partial"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CANCELED = "canceled"
    CANCELED_EARLY = "canceled_early"
    EXPIRED = "expired"


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
}
CURRENCIES: Final = ("EUR", "USD", "GBP", "JPY", "KWD", "SEK")
AMOUNT_MIN: Final = 500
AMOUNT_MAX: Final = 250_000
PARTS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Story:
    """One payment, in minor units. `refunds` succeed, `failed_refunds` do not, `failures` come before success."""

    course: Course
    amount: int
    currency: str
    captures: tuple[int, ...] = ()
    refunds: tuple[int, ...] = ()
    failed_refunds: tuple[int, ...] = ()
    failures: int = 0

    @property
    def authorized(self) -> int:
        """What the customer's bank reserved."""
        return 0 if self.course in (Course.FAILED, Course.CANCELED_EARLY) else self.amount


@dataclass(frozen=True, slots=True)
class End:
    """How a payment must stand when everything arrived: the columns of its row. Amounts are minor units."""

    status: str
    refund_status: str
    currency: str
    amount: int
    authorized: int
    captured: int
    refunded: int


def parts_of(total: int, count: int, rng: Random) -> tuple[int, ...]:
    """Cut a total into that many parts of at least 1."""
    cuts = sorted(rng.sample(range(1, total), count - 1))
    return tuple(right - left for left, right in zip([0, *cuts], [*cuts, total], strict=True))


def _captures(course: Course, amount: int, rng: Random) -> tuple[int, ...]:
    if course in (Course.AUTOMATIC, Course.MANUAL):
        return (amount,)
    if course is Course.IN_PARTS:
        return parts_of(amount, rng.randint(2, PARTS_MAX), rng)
    return (rng.randint(amount // 4, amount - 1),) if course is Course.PARTIAL else ()


def _refunds(captured: int, rng: Random) -> tuple[int, ...]:
    """Give back nothing, a part, all of it, or all of it in parts."""
    choice = rng.random()
    if not captured or choice < 0.6:  # noqa: PLR2004
        return ()
    if choice < 0.75:  # noqa: PLR2004
        return (rng.randint(1, captured - 1),)
    return (captured,) if choice < 0.85 else parts_of(captured, rng.randint(2, PARTS_MAX), rng)  # noqa: PLR2004


def tell(rng: Random, courses: tuple[Course, ...]) -> Story:
    """Invent one payment that goes one of these courses."""
    course = rng.choices(courses, [WEIGHTS[course] for course in courses])[0]
    amount = rng.randint(AMOUNT_MIN, AMOUNT_MAX)
    captures = _captures(course, amount, rng)
    refunds = _refunds(sum(captures), rng)
    left = sum(captures) - sum(refunds)
    failures = rng.choice((1, 1, 2)) if course is Course.FAILED or (captures and rng.random() < 0.2) else 0  # noqa: PLR2004
    return Story(
        course=course,
        amount=amount,
        currency=rng.choice(CURRENCIES),
        captures=captures,
        refunds=refunds,
        failed_refunds=(rng.randint(1, left),) if left and rng.random() < 0.1 else (),  # noqa: PLR2004
        failures=failures,
    )


def _status(story: Story, captured: int) -> str:
    if captured:
        return "captured" if captured >= story.authorized else "partially_captured"
    return {
        Course.AUTHORIZED: "authorized",
        Course.FAILED: "failed",
        Course.EXPIRED: "expired",
    }.get(story.course, "canceled")


def ending(story: Story) -> End:
    """Say how the payment must stand at the end."""
    captured, refunded = sum(story.captures), sum(story.refunds)
    refund_status = "none" if not refunded else "full" if refunded == captured else "partial"
    return End(
        status=_status(story, captured),
        refund_status=refund_status,
        currency=story.currency,
        amount=story.amount,
        authorized=story.authorized,
        captured=captured,
        refunded=refunded,
    )
