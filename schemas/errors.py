"""The tree of errors: what more than one part raises or catches. An error of one part stands beside its code.

RatchetError
├── SettingsError             a setting is unknown, missing or malformed
├── SignatureRejected         a webhook is not proven genuine
├── UninterpretableError      a genuine event says nothing that can be folded
├── LeaseLostError            another process holds the lease now
├── MigrationError            the schema's history does not match the files
├── StackError                an embedded broker cannot be set up or started
└── UnavailableError          a broker is away; trying again later may help (transient)
    ├── AccessRefusedError    a broker answers and refuses us: password, certificate or protocol (transient)
    ├── SchemaMismatchError   the database's schema is older or newer than this version (transient)
    └── SharedSessionsError   a pooler lends our sessions to others between transactions (transient)
"""

from __future__ import annotations

from typing import ClassVar


class RatchetError(Exception):
    """Base of all errors that Ratchet raises on purpose.

    `transient` tells whether the same call may succeed later without anybody changing anything.
    """

    transient: ClassVar[bool] = False


class SettingsError(RatchetError):
    """A setting is unknown, missing or malformed; the message names it and what it takes."""


class SignatureRejected(RatchetError):  # noqa: N818 - the name is part of the public contract
    """A webhook is not proven genuine.

    `reason` is a slug of the catalogue in `providers.core.contract.REASONS`; it is for logs and metrics, never for
    the sender.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class UninterpretableError(RatchetError):
    """A genuine event can't be folded; `reason` is the dead letter's slug (`schemas.dead_letter.Reason`)."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class LeaseLostError(RatchetError):
    """The lease that guards a write belongs to another holder now; the write did not happen."""


class MigrationError(RatchetError):
    """The schema's history in the database and the migration files disagree; the message says what to do."""


class StackError(RatchetError):
    """An embedded broker cannot be fetched, configured or started; the message says what to do."""


class UnavailableError(RatchetError):
    """A broker or an outside service does not answer; nothing is known to be wrong with the request."""

    transient: ClassVar[bool] = True


class AccessRefusedError(UnavailableError):
    """A broker answers and refuses us, or we its certificate; the message names the setting to look at.

    An outage like any other: while credentials are rotated the same call may succeed a moment later, so whoever waits
    for a broker waits for this one too, and nothing is given up.
    """


class SchemaMismatchError(UnavailableError):
    """The database's schema is not the one that this version works with; the message says what to do.

    An outage like any other: whoever waits for Postgres goes on when the schema has been migrated.
    """


class SharedSessionsError(UnavailableError):
    """A pooler between us and Postgres lends sessions for a transaction; the message says what to do.

    An outage like any other: whoever waits for Postgres goes on when sessions are its own.
    """
