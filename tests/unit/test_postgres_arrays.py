"""Array literals: what they look like. That Postgres reads them back is tests/integration/test_array_literals.py."""

from __future__ import annotations

from uuid import UUID

import pytest

from runtime.postgres_arrays import bytes_array, columns_of, plain_array, text_array

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("values", "literal"),
    [
        ([], "{}"),
        (["a", "b"], '{"a","b"}'),
        (["", "null", "NULL", "{a,b}"], '{"","null","NULL","{a,b}"}'),
        (["a", None], '{"a",NULL}'),
        (['q"', "b\\"], '{"q\\"","b\\\\"}'),
        (['q"', None, "b\\"], '{"q\\"",NULL,"b\\\\"}'),
    ],
)
def test_texts_are_quoted(values: list[str | None], literal: str) -> None:
    assert text_array(values) == literal


def test_what_needs_no_quotes_gets_none() -> None:
    assert plain_array([1, None, -3]) == "{1,NULL,-3}"
    assert plain_array([UUID(int=1)]) == "{00000000-0000-0000-0000-000000000001}"
    assert plain_array([]) == "{}"


def test_bytes_are_hexadecimal() -> None:
    assert bytes_array([b"\x00\xff", b""]) == '{"\\\\x00ff","\\\\x"}'


def test_rows_become_columns() -> None:
    assert columns_of([(1, "a"), (2, "b")], 2) == [(1, 2), ("a", "b")]
    assert columns_of([], 3) == [(), (), ()]
