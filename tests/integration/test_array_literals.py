"""Postgres reads back what the array literals of a batch hold, whatever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import MANY, examples

from runtime.postgres_arrays import bytes_array, plain_array, text_array

if TYPE_CHECKING:
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
SPECIAL = st.sampled_from(['"', "\\", '\\"', ",", "{}", "NULL", "null", " ", "\n\t", "\x7f", "ü", '"{"a"}"'])


async def test_texts_bytes_and_numbers_come_back(stack: Endpoints) -> None:
    connection = await asyncpg.connect(stack.dsn)

    @settings(examples(MANY), suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.none() | TEXTS | SPECIAL),
        st.lists(st.binary()),
        st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
    )
    def draw(texts: list[str | None], blobs: list[bytes], numbers: list[int | None]) -> None:
        seen.append((texts, blobs, numbers))

    seen: list[tuple[list[str | None], list[bytes], list[int | None]]] = []
    draw()
    try:
        for texts, blobs, numbers in seen:
            row = await connection.fetchrow(
                "select $1::text::text[], $2::text::bytea[], $3::text::bigint[]",
                text_array(texts),
                bytes_array(blobs),
                plain_array(numbers),
            )
            assert row is not None
            assert tuple(row) == (texts, blobs, numbers)
    finally:
        await connection.close()
