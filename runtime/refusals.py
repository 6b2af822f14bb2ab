"""What each refusal of Postgres means: one table of SQLSTATE classes, and the codes that differ from their class. Pure.

The classes are those of the documentation's appendix "PostgreSQL Error Codes". Only what depends on the values that
were sent alone is ever a record's fault: nothing that speaks of the schema, rights, resources, the state of a
transaction or a feature is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Failure(StrEnum):
    """What kind of failure an error of a transaction is, and so what to do about it."""

    OUTAGE = "outage"
    """Postgres is away or too busy: wait and try again; nothing is wrong with the data."""
    SETUP = "setup"
    """The schema, a right or a setting does not fit this version: wait until somebody mends it."""
    SESSION = "session"
    """The session can't be used for this any more: close it and try again on a fresh one."""
    CONFLICT = "conflict"
    """Another transaction did the same or was in the way: read again and fold again."""
    DATA = "data"
    """Postgres refuses what the batch holds: find the record."""
    UNEXPECTED = "unexpected"
    """Nobody foresaw it."""


PASSING: Final = frozenset({Failure.OUTAGE, Failure.SETUP, Failure.SESSION})
"""No record's fault and nobody else's transaction: it is waited for, however long."""

_DATA, _CONFLICT, _OUTAGE, _SETUP, _SESSION = (
    Failure.DATA,
    Failure.CONFLICT,
    Failure.OUTAGE,
    Failure.SETUP,
    Failure.SESSION,
)

CLASSES: Final[dict[str, Failure]] = {
    "00": _SESSION,  # successful completion: no refusal at all, so client and server are out of step
    "01": _SESSION,  # warning: the same
    "02": _SESSION,  # no data: the same
    "03": _SESSION,  # SQL statement not yet complete
    "08": _SESSION,  # connection exception
    "09": _SETUP,  # triggered action exception
    "0A": _SESSION,  # feature not supported: also a cached plan that a change of the schema made invalid
    "0B": _SESSION,  # invalid transaction initiation
    "0F": _SESSION,  # locator exception
    "0L": _SETUP,  # invalid grantor
    "0P": _SETUP,  # invalid role specification
    "0Z": _SETUP,  # diagnostics exception
    "10": _DATA,  # XQuery error
    "20": _DATA,  # case not found
    "21": _DATA,  # cardinality violation
    "22": _DATA,  # data exception
    "23": _DATA,  # integrity constraint violation
    "24": _SESSION,  # invalid cursor state
    "25": _SESSION,  # invalid transaction state: also a session of a server that became read-only
    "26": _SESSION,  # invalid SQL statement name
    "27": _SETUP,  # triggered data change violation
    "28": _OUTAGE,  # invalid authorization specification
    "2B": _SETUP,  # dependent privilege descriptors still exist
    "2D": _SESSION,  # invalid transaction termination
    "2F": _SETUP,  # SQL routine exception
    "34": _SESSION,  # invalid cursor name
    "38": _SETUP,  # external routine exception
    "39": _SETUP,  # external routine invocation exception
    "3B": _SESSION,  # savepoint exception
    "3D": _OUTAGE,  # invalid catalog name
    "3F": _SETUP,  # invalid schema name
    "40": _CONFLICT,  # transaction rollback: serialization failures and deadlocks
    "42": _SETUP,  # syntax error or access rule violation: a table, a column or a right that is not there
    "44": _DATA,  # with check option violation
    "53": _OUTAGE,  # insufficient resources
    "54": _DATA,  # program limit exceeded: a value too large for an index, JSON nested too deep
    "55": _SETUP,  # object not in prerequisite state
    "57": _OUTAGE,  # operator intervention
    "58": _OUTAGE,  # system error
    "72": _OUTAGE,  # snapshot failure, of servers up to 16
    "F0": _OUTAGE,  # configuration file error
    "HV": _SETUP,  # foreign data wrapper error
    "P0": _DATA,  # PL/pgSQL error: a trigger refuses the row
    "XX": _OUTAGE,  # internal error
}
"""What a class means, by its two characters."""

CODES: Final[dict[str, Failure]] = {
    "22P03": _SESSION,  # invalid binary representation: written for columns as they were before the schema changed
    "22P04": _SESSION,  # bad COPY file format: the same
    "23505": _CONFLICT,  # unique violation
    "23P01": _CONFLICT,  # exclusion violation
    "40002": _DATA,  # transaction integrity constraint violation: a deferred constraint
    "40003": _SESSION,  # statement completion unknown
    "54011": _SETUP,  # too many columns
    "54023": _SETUP,  # too many arguments
    "55P03": _CONFLICT,  # lock not available
    "57P05": _SESSION,  # idle session time-out
}
"""Codes that mean something else than their class."""


def failure_of(sqlstate: str) -> Failure:
    """Tell what a refusal means; one of a class that nobody knows is no record's fault until somebody has read it."""
    return CODES.get(sqlstate) or CLASSES.get(sqlstate[:2], Failure.OUTAGE)
