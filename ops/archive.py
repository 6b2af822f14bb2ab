"""The archive of the ledger: numbered Parquet files, each with a signed manifest, in a folder.

A file holds ledger rows in the relay's order, and counts once its manifest is there: `ledger-00000001.manifest` names
the file, its digest and what it holds. The manifest is text like a seal: a line of JSON; a line a payment, in the order
of their ids, `payment rows first before last version hash` (`first` and `last` are ledger places, `relay_xid:id`;
`before` is the hash on which the first row was chained, `-` for none); a last line with the HMAC-SHA256 of all bytes
before it, by the key of seals. Each names the digest of the manifest before it, so none can be left out, put in or
exchanged.

A manifest is never written over, and a Parquet file has a name that no other run gives. What is there without a
manifest was left by a run that was ended; the next run removes it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import hmac
import json
import os
import re
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from uuid import UUID

from ops.archive_parquet import read_hashes
from ops.seal import sync
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FORMAT: Final = "ratchet-archive/1"
PREFIX: Final = "hmac-sha256 "
NOTHING: Final = "-"
MANIFEST: Final = re.compile(r"ledger-(\d{8})\.manifest")
PARTIAL: Final = ".partial"
READ_BYTES: Final = 1024 * 1024
FILES_KEPT: Final = 3
"""Files whose hashes stay in memory: rows are asked for in about the order in which they were archived."""


class ArchiveError(RatchetError):
    """The archive can't be written, or is not what was written; the message says which file and what to do."""


class LedgerPlace(NamedTuple):
    """Where a ledger row stands in the relay's order."""

    relay_xid: int
    id: int

    def __str__(self) -> str:
        return f"{self.relay_xid}:{self.id}"

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what `str` wrote."""
        relay_xid, _, ledger_id = text.partition(":")
        return cls(int(relay_xid), int(ledger_id))


class ChainPart(NamedTuple):
    """What a file holds of one payment's chain: the rows from `first` to `last`, chained on the hash `before`."""

    payment_id: UUID
    rows: int
    first: LedgerPlace
    before: bytes
    last: LedgerPlace
    version: int
    hash: bytes

    def line(self) -> str:
        """Return the manifest's line."""
        before = self.before.hex() or NOTHING
        return f"{self.payment_id} {self.rows} {self.first} {before} {self.last} {self.version} {self.hash.hex()}"

    @classmethod
    def of(cls, line: str) -> Self:
        """Read what `line` wrote."""
        payment_id, rows, first, before, last, version, digest = line.split()
        chained = b"" if before == NOTHING else bytes.fromhex(before)
        places = LedgerPlace.of(first), LedgerPlace.of(last)
        return cls(UUID(payment_id), int(rows), places[0], chained, places[1], int(version), bytes.fromhex(digest))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the first line of a manifest says of its file.

    `schema` is the newest migration of the database that it came from; `removed_before` says how many rows of no
    payment retention had removed when the file was made; `previous` is the digest of the manifest before, empty for the
    first.
    """

    number: int
    file: str
    size: int
    sha256: str
    rows: int
    rows_without_payment: int
    removed_before: int
    first: LedgerPlace
    last: LedgerPlace
    last_hash: str
    id_min: int
    id_max: int
    schema: int
    archived_at: dt.datetime
    sealed_at: dt.datetime
    previous: str

    def line(self) -> str:
        """Return the manifest's first line."""
        times = {"archived_at": self.archived_at.isoformat(), "sealed_at": self.sealed_at.isoformat()}
        return json.dumps({"format": FORMAT} | asdict(self) | times)

    @classmethod
    def of(cls, line: bytes) -> Self:
        """Read what `line` wrote; raises ValueError, KeyError, TypeError for anything else."""
        fields: dict[str, Any] = json.loads(line)
        if fields.pop("format") != FORMAT:
            raise ValueError(FORMAT)
        fields |= {name: LedgerPlace(*fields[name]) for name in ("first", "last")}
        return cls(**fields | {name: dt.datetime.fromisoformat(fields[name]) for name in ("archived_at", "sealed_at")})

    @property
    def name(self) -> str:
        """The manifest's own file name."""
        return manifest_name(self.number)


def manifest_name(number: int) -> str:
    """Return the file name of a manifest."""
    return f"ledger-{number:08d}.manifest"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_BYTES):
            digest.update(part)
    return digest.hexdigest()


class Archive:
    """The manifests of a folder whose signatures hold and which follow from each other, in their order.

    `problems` names each that is not so, in words; then `files` holds only those before it. `id_max` is the highest
    ledger id that is archived, 0 where nothing is.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self.folder = folder
        self._key = key
        self.files: list[Manifest] = []
        self.problems: list[str] = []
        self._newest = ""
        self.id_max = 0
        self._kept: OrderedDict[str, Mapping[int, bytes]] = OrderedDict()
        self._read()

    @classmethod
    def opened(cls, folder: Path, key: bytes) -> Self:
        """Open an archive that holds; raises ArchiveError where it does not."""
        archive = cls(folder, key)
        if archive.problems:
            problem = archive.problems[0]
            raise ArchiveError(f"the archive {folder} does not hold: {problem}; see `ratchet audit verify --archive`")
        return archive

    def _read(self) -> None:
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError as error:
            raise ArchiveError(f"{self.folder} cannot be read: {error.strerror}; make the archive's folder") from error
        numbers = sorted(int(found[1]) for name in names if (found := MANIFEST.fullmatch(name)))
        for number in range(1, max(numbers, default=0) + 1):
            problem = self._take(number)
            if problem is not None:
                self.problems.append(problem)
        there = set(names)
        self.problems += [f"{one.file} is missing" for one in self.files if one.file not in there]

    def _take(self, number: int) -> str | None:
        """Read one manifest; return what is wrong with it."""
        name = manifest_name(number)
        mac, digest, last = hmac.new(self._key, digestmod="sha256"), hashlib.sha256(), b""
        try:
            with (self.folder / name).open("rb") as file:
                manifest = Manifest.of(file.readline())
                file.seek(0)
                for line in file:
                    mac.update(last)
                    digest.update(line)
                    last = line
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        except (ValueError, KeyError, TypeError):
            return f"{name} is no manifest"
        if not hmac.compare_digest(last, f"{PREFIX}{mac.hexdigest()}\n".encode()):
            return f"{name} is not what was signed, or was signed with another key"
        if manifest.number != number or (not self.problems and manifest.previous != self._newest):
            return f"{name} does not follow the manifest before it: it is another one's"
        if not self.problems:
            self._take_in(manifest, digest.hexdigest())
        return None

    def _take_in(self, manifest: Manifest, digest: str) -> None:
        self.files.append(manifest)
        self._newest, self.id_max = digest, max(self.id_max, manifest.id_max)

    @property
    def last(self) -> Manifest | None:
        """The newest file."""
        return self.files[-1] if self.files else None

    def parts(self, manifest: Manifest) -> Iterator[ChainPart]:
        """Read what a file holds of each payment's chain."""
        with (self.folder / manifest.name).open(encoding="ascii") as file:
            file.readline()
            for line in file:
                if line.startswith(PREFIX):
                    return
                yield ChainPart.of(line)

    def wrong_file(self, manifest: Manifest) -> str | None:
        """Say what is wrong with a manifest's Parquet file as bytes, or return None."""
        path = self.folder / manifest.file
        try:
            if digest_of(path) != manifest.sha256:
                return f"{manifest.file} is not what was archived: its digest is not the one in {manifest.name}"
        except FileNotFoundError:
            return f"{manifest.file} is missing"
        except OSError as error:
            return f"{manifest.file} cannot be read: {error.strerror}"
        return None

    def hash_of(self, ledger_id: int) -> bytes | None:
        """Return the hash of an archived row, read from a file whose digest was checked; None where none has it.

        Raises ArchiveError where a file that may have it is not what was archived.
        """
        for name, hashes in self._kept.items():
            if ledger_id in hashes:
                self._kept.move_to_end(name)
                return hashes[ledger_id]
        for manifest in self.files:
            if manifest.id_min <= ledger_id <= manifest.id_max and manifest.file not in self._kept:
                hashes = self._load(manifest)
                if ledger_id in hashes:
                    return hashes[ledger_id]
        return None

    def _load(self, manifest: Manifest) -> Mapping[int, bytes]:
        if (wrong := self.wrong_file(manifest)) is not None:
            raise ArchiveError(f"{wrong}; nothing is removed that it should hold: see `ratchet audit verify --archive`")
        hashes = read_hashes(self.folder / manifest.file)
        while len(self._kept) >= FILES_KEPT:
            self._kept.popitem(last=False)
        self._kept[manifest.file] = hashes
        return hashes

    def held(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows up to the first that is not archived; raises ArchiveError where one is archived otherwise."""
        found = []
        for row in rows:
            archived = self.hash_of(row["id"])
            if archived is None:
                break
            if archived != row["hash"]:
                raise ArchiveError(
                    f"ledger row {row['id']} is not the one that was archived; nothing is removed: see `ratchet audit "
                    "verify --archive`"
                )
            found.append(row)
        return found

    def new_file(self) -> Path:
        """Name the next Parquet file, as no other run does, while it is being written."""
        return self.folder / f"ledger-{len(self.files) + 1:08d}-{os.urandom(4).hex()}.parquet"

    def remove_leftovers(self) -> None:
        """Remove what a run that was ended left of the next file; call it under the lock."""
        begun = f"ledger-{len(self.files) + 1:08d}"
        for path in list(self.folder.iterdir()):
            if path.name.endswith(PARTIAL) or (path.name.startswith(begun) and not MANIFEST.fullmatch(path.name)):
                path.unlink(missing_ok=True)

    def add(self, manifest: Manifest, parts: Iterable[ChainPart]) -> None:
        """Sign a manifest and put it in its place; from then on its file counts.

        `parts` come in the order of their payments' ids.
        Raises ArchiveError where another run was there first.
        """
        path = self.folder / manifest.name
        partial = self.folder / f"{manifest.name}.{os.urandom(4).hex()}{PARTIAL}"
        mac, digest = hmac.new(self._key, digestmod="sha256"), hashlib.sha256()
        with partial.open("wb") as file:
            for line in (manifest.line(), *(part.line() for part in parts)):
                data = line.encode() + b"\n"
                mac.update(data)
                digest.update(data)
                file.write(data)
            end = f"{PREFIX}{mac.hexdigest()}\n".encode()
            digest.update(end)
            file.write(end)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError as error:
            raise ArchiveError(f"{path} is there already: another run made it; run it again") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
        sync(self.folder)
        self._take_in(manifest, digest.hexdigest())

    @property
    def newest_digest(self) -> str:
        """The digest of the newest manifest, which the next one names."""
        return self._newest
