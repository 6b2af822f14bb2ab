"""Passwords as hashes: argon2id, a salt each, compared slowly."""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

LENGTH_MIN: Final = 15
"""Characters of a password that is the only proof of who somebody is (NIST SP 800-63B-4, 3.1.1.2)."""
LENGTH_MAX: Final = 256
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
"""OWASP's least for argon2id (RFC 9106): 19 MiB, two passes; passwords are long, and tries are few."""


def hashed(password: str) -> str:
    """Return the hash that is kept of a password."""
    return _HASHER.hash(password)


def fits(kept: str, password: str) -> bool:
    """Tell whether a password is the one that was hashed."""
    try:
        return _HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
