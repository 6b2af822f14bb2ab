from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetched import portions

pytestmark = pytest.mark.unit


@given(st.dictionaries(st.integers(1, 1000), st.integers(0, 300)), st.integers(1, 400))
def test_portions_keep_the_order_leave_none_out_and_fit_the_bound(sizes: dict[int, int], bound: int):
    found = list(portions(sorted(sizes), sizes.__getitem__, bound))
    assert [one for portion in found for one in portion] == sorted(sizes)
    for portion in found:
        assert portion
        assert len(portion) == 1 or sum(sizes[one] for one in portion) <= bound
    for one, after in itertools.pairwise(found):
        assert sum(sizes[each] for each in one) + sizes[after[0]] > bound, "none is cut short"
