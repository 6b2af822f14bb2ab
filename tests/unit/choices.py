"""What properties draw, in as few choices as there may be: one costs Hypothesis what a record costs the product.

`st.permutations` makes a choice for each element, a tuple one for each part, which took two thirds of the time of
properties. Here numbers are drawn whose digits are the choices. Of 0, to which Hypothesis makes an example smaller that
fails, each is the first there is.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final, TypeVar

from events import placed
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.record import Record

One = TypeVar("One")
EVEN_MAX: Final = 2**24
"""Up to so many integers are drawn evenly; of more Hypothesis takes the small ones far more often."""


def digits_of(number: int, bases: Iterable[int]) -> list[int]:
    """Return the digits of a number, the first in the first base."""
    digits = []
    for base in bases:
        number, digit = divmod(number, base)
        digits.append(digit)
    return digits


def digits(draw: st.DrawFn, bases: Iterable[int]) -> list[int]:
    """Draw a digit in each base, each as likely as any other."""
    groups: list[list[int]] = [[]]
    for base in bases:
        if prod(groups[-1]) * base > EVEN_MAX:
            groups.append([])
        groups[-1].append(base)
    return [digit for group in groups for digit in digits_of(draw(st.integers(0, prod(group) - 1)), group)]


def picks(*kinds: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return tuples of one of each kind; what stands twice in its kind is drawn twice as often."""
    bases = [len(kind) for kind in kinds]
    assert prod(bases) <= EVEN_MAX

    def pick(number: int) -> tuple[Any, ...]:
        return tuple(kind[digit] for kind, digit in zip(kinds, digits_of(number, bases), strict=True))

    return st.integers(0, prod(bases) - 1).map(pick)


def some_again(draw: st.DrawFn, records: Sequence[Record], most: int) -> list[Record]:
    """Draw at most so many of the records, any of them also several times."""
    many, *places = digits(draw, [most + 1, *[len(records)] * most])
    return [records[place] for place in places[:many]]


def in_any_order(draw: st.DrawFn, items: Iterable[One]) -> list[One]:
    """Draw an order."""
    left = list(items)
    return [left.pop(place) for place in digits(draw, range(len(left), 0, -1))]


def in_batches(draw: st.DrawFn, records: Sequence[Record]) -> list[list[Record]]:
    """Cut records into batches: one, or as many as draws say, few or many; each record has its place in Kafka."""
    often, *cuts = digits(draw, [4] * len(records))
    batches: list[list[Record]] = [[]]
    for one, cut in zip(records, [0, *cuts], strict=True):
        if cut >= 4 - (0, 1, 1, 2)[often]:
            batches.append([])
        batches[-1].append(one)
    return [placed(batch) for batch in batches]
