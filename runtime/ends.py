"""Notes which processes were ended on purpose, so that the next start blames no record for their end.

Whoever is about to kill a role writes its token into `RATCHET_HOME/run/<role>.ended`, one a line; a role that is asked
to stop while Postgres is away writes its own.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from runtime.folders import make_private

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TOKENS_MAX: Final = 1000
"""Tokens that are kept: the newest; a role that never starts again to read them must not fill the disk."""

_log = structlog.get_logger()


class PurposefulEnds:
    """The tokens of a role's processes that were ended on purpose. Where the disk refuses, only the note is lost."""

    def __init__(self, home: Path, role: str) -> None:
        self._path = home / "run" / f"{role}.ended"

    def read(self) -> list[UUID]:
        """Return the tokens; a line that is none is left out."""
        tokens = []
        with contextlib.suppress(OSError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").split():
                with contextlib.suppress(ValueError):
                    tokens.append(UUID(line))
        return tokens

    def note(self, token: UUID) -> None:
        """Add a token."""
        self._write([*self.read(), token])

    def forget(self, tokens: Collection[UUID]) -> None:
        """Remove tokens: the database knows of them."""
        held = self.read()
        if (kept := [token for token in held if token not in tokens]) != held:
            self._write(kept)

    def _write(self, tokens: list[UUID]) -> None:
        draft = self._path.with_suffix(".ended.tmp")
        try:
            make_private(self._path.parent)
            draft.write_text("".join(f"{token}\n" for token in tokens[-TOKENS_MAX:]), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            _log.warning("end_on_purpose_not_noted", error=type(error).__name__)
