"""Ledger rows as Parquet: the one module that knows pyarrow, which is an extra (`archive`) and imported late.

A file's columns are those of `payment_logs`, under their names: ids and texts as they are, `payment_id` as text,
`facts` as JSON text, times in UTC to the microsecond, `hash` as 32 bytes. Whatever reads Parquet reads the archive.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

COMPRESSION: Final = "zstd"
ROWS_A_READ: Final = 5000


class ParquetError(RatchetError):
    """A file can't be written or read as Parquet of the ledger's columns."""


def check_pyarrow() -> None:
    """Raise SettingsError where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise SettingsError("the archive needs pyarrow; install ratchet-payments[archive]")


def _schema() -> Any:
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    return pa.schema([
        pa.field("id", pa.int64(), nullable=False),
        ("payment_id", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        ("from_status", pa.string()),
        ("to_status", pa.string()),
        ("amount", pa.int64()),
        ("version", pa.int64()),
        pa.field("facts", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        ("occurred_at", moment),
        pa.field("recorded_at", moment, nullable=False),
        pa.field("relay_xid", pa.int64(), nullable=False),
        pa.field("hash", pa.binary(32), nullable=False),
        ("traceparent", pa.string()),
        pa.field("meaning", pa.int16(), nullable=False),
    ])  # fmt: skip


class ParquetRows:
    """Writes rows of the ledger to a file, one row group a call."""

    def __init__(self, path: Path) -> None:
        from pyarrow.parquet import ParquetWriter

        self._schema = _schema()
        try:
            self._writer = ParquetWriter(path, self._schema, compression=COMPRESSION)
        except OSError as error:
            raise ParquetError(f"{path} cannot be written: {error}") from error

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows as they were read from the table."""
        import pyarrow as pa

        plain = [dict(row) | {"payment_id": _text(row["payment_id"])} for row in rows]
        self._writer.write_table(pa.Table.from_pylist(plain, self._schema), row_group_size=len(plain))

    def close(self) -> None:
        """Write the file's end."""
        self._writer.close()


def _text(payment_id: UUID | None) -> str | None:
    return None if payment_id is None else str(payment_id)


def read_rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Read a file's rows in steps, as the table would give them; raises ParquetError for what is none of ours."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_A_READ):
                rows = batch.to_pylist()
                for row in rows:
                    row["payment_id"] = row["payment_id"] and UUID(row["payment_id"])
                yield rows
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ParquetError(f"{path.name} cannot be read: {error}") from error


def read_hashes(path: Path) -> Mapping[int, bytes]:
    """Read the hash of each row of a file, by its id."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            found = file.read(columns=["id", "hash"])
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ParquetError(f"{path.name} cannot be read: {error}") from error
    return dict(zip(found["id"].to_pylist(), found["hash"].to_pylist(), strict=True))
