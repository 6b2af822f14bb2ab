"""The seal: a signed, dated list of where every payment's chain ended and of all rows of no payment, kept elsewhere.

Whoever owns the schema can rewrite a chain from its first row to its head, and every hash will fit. They can't make the
rows that a seal names, nor the seal, without the key (`RATCHET_AUDIT__SEAL_KEY`). Retention signs its anchors with the
same key, so what it took away lawfully differs from what somebody took.

The file is text: a line of JSON that says what it is, when it was made and where the chain of people's actions ended; a
line a payment, in the order of their ids, `payment ledger_id version hash`; a line with how many rows of no payment
retention had removed till then, `rows_removed number`; a line a row of no payment, `row relay_xid id hash`; a last line
with the HMAC-SHA256 (RFC 2104) of all bytes before it. Seals of the first format end behind the payments.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import hmac
import json
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from ops.audit_actions import SealedActions
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import SecretStr

FORMAT: Final = "ratchet-seal/2"
FORMATS: Final = (FORMAT, "ratchet-seal/1")
PREFIX: Final = "hmac-sha256 "
ROW: Final = "row"
ROWS_REMOVED: Final = "rows_removed"
NO_ACTIONS: Final = SealedActions(0, b"")


class SealError(RatchetError):
    """A seal can't be made or does not hold; the message says which file and what to do."""


class Sealed(NamedTuple):
    """Where a payment's chain ended when it was sealed."""

    payment_id: UUID
    ledger_id: int
    version: int
    hash: bytes


class SealedRow(NamedTuple):
    """A ledger row of no payment; its id alone names it, `relay_xid` finds it."""

    relay_xid: int
    id: int
    hash: bytes


def key_of(secret: SecretStr | None) -> bytes:
    """Return the key; raises SealError where none is set."""
    if secret is None:
        raise SealError("no key to seal with: set RATCHET_AUDIT__SEAL_KEY, 32 characters at least")
    return secret.get_secret_value().encode()


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def anchor_mac(key: bytes, anchor: Mapping[str, Any]) -> bytes:
    """Return the signature of an anchor: whose chain it is, where it begins, and what had been reported till there."""
    parts = [anchor[name] for name in ("payment_id", "relay_xid", "ledger_id", "version", "rows_removed")]
    text = " ".join(str(part) for part in parts).encode()
    facts = hashlib.sha256(anchor["facts"].encode()).digest()
    return hmac.digest(key, b"anchor " + text + b" " + anchor["hash"] + facts, "sha256")


def anchor_without_payment_mac(key: bytes, ledger_id: int, rows_removed: int) -> bytes:
    """Return the signature of what retention removed of the rows of no payment."""
    return hmac.digest(key, f"anchor without payment {ledger_id} {rows_removed}".encode(), "sha256")


class SealWriter:
    """Writes a seal beside its place and puts it there when it is whole; a file that is there already stays."""

    def __init__(self, path: Path, key: bytes, now: dt.datetime, actions: SealedActions = NO_ACTIONS) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._mac = hmac.new(key, digestmod="sha256")
        self.payments = 0
        self.rows = 0
        if path.exists():
            raise SealError(f"{path} is there already: a seal is never written over; name another file")
        try:
            self._file = self._partial.open("wb")
        except OSError as error:
            raise SealError(f"{self._partial} cannot be written: {error.strerror}") from error
        ended = {"id": actions.id, "hash": actions.hash.hex()}
        self._write(json.dumps({"format": FORMAT, "sealed_at": now.isoformat(), "actions": ended}))

    def _write(self, line: str) -> None:
        data = line.encode() + b"\n"
        self._mac.update(data)
        self._file.write(data)

    def add(self, one: Sealed) -> None:
        """Write one payment; they come in the order of their ids."""
        self._write(f"{one.payment_id} {one.ledger_id} {one.version} {one.hash.hex()}")
        self.payments += 1

    def begin_rows(self, rows_removed: int) -> None:
        """Go on to the rows of no payment, of which retention has removed so many."""
        self._write(f"{ROWS_REMOVED} {rows_removed}")

    def add_row(self, one: SealedRow) -> None:
        """Write one row of no payment."""
        self._write(f"{ROW} {one.relay_xid} {one.id} {one.hash.hex()}")
        self.rows += 1

    def finish(self) -> None:
        """Sign it, have it on the disk, and put it in its place."""
        self._file.write(f"{PREFIX}{self._mac.hexdigest()}\n".encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)
        sync(self._path.parent)

    def give_up(self) -> None:
        """Remove what was written of an unfinished seal."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._partial.unlink()


class SealReader:
    """A seal whose signature holds, read from its beginning to its end; raises SealError where it does not hold."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self.actions: SealedActions | None = None
        self._check(key)
        self._file = path.open()
        self._file.readline()
        self.rows_removed = 0  # first: in a seal of no payments the number is read with the very first line
        self._lines = self._read()
        self._next = next(self._lines, None)

    def _check(self, key: bytes) -> None:
        mac, last = hmac.new(key, digestmod="sha256"), b""
        try:
            with self._path.open("rb") as file:
                head = json.loads(file.readline())
                self.sealed_at = dt.datetime.fromisoformat(head["sealed_at"])
                ended = head.get("actions")  # a seal that was made before actions were chained has none
                self.actions = ended and SealedActions(int(ended["id"]), bytes.fromhex(ended["hash"]))
                self.holds_rows = head["format"] == FORMAT
                if head["format"] not in FORMATS:
                    raise SealError(f"{self._path} is a seal of another kind: {head['format']}")
                file.seek(0)
                for line in file:
                    mac.update(last)
                    last = line
        except OSError as error:
            raise SealError(f"{self._path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise SealError(f"{self._path} is no seal") from error
        if not hmac.compare_digest(last, f"{PREFIX}{mac.hexdigest()}\n".encode()):
            raise SealError(f"{self._path} is not what was sealed, or was sealed with another key")

    def _read(self) -> Iterator[Sealed]:
        """Read the payments, and the line behind them."""
        for line in self._file:
            first, *parts = line.split()
            if line.startswith(PREFIX):
                return
            if first == ROWS_REMOVED:
                self.rows_removed = int(parts[0])
                return
            ledger_id, version, digest = parts
            yield Sealed(UUID(first), int(ledger_id), int(version), bytes.fromhex(digest))

    def up_to(self, payment_id: UUID | None) -> Iterator[Sealed]:
        """Go on to this payment, itself included; None: to the end."""
        while self._next is not None and (payment_id is None or self._next.payment_id <= payment_id):
            yield self._next
            self._next = next(self._lines, None)

    def rows(self) -> Iterator[SealedRow]:
        """Read the rows of no payment; all payments must have been read."""
        for line in self._file:
            first, *parts = line.split()
            if first == ROW:
                relay_xid, ledger_id, digest = parts
                yield SealedRow(int(relay_xid), int(ledger_id), bytes.fromhex(digest))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
