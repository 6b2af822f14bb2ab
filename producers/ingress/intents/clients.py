"""Clients of the intents API, known by their keys.

Only SHA-256 digests of the keys are kept after the start. A slow hash would protect guessable passwords; keys are
random, and every request pays for the hash. Digests are of one length, so comparing them in constant time tells
nothing, not even how long a key is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SecretStr

KEY_LENGTH_MIN: Final = 24
"""A key that is compared with what anybody may send has to be beyond guessing."""
KEY_LENGTH_MAX: Final = 512
_KEY: Final = re.compile(rf"[!-~]{{{KEY_LENGTH_MIN},{KEY_LENGTH_MAX}}}\Z")
_BEARER: Final = re.compile(r"bearer +([!-~]{1,512}) *\Z", re.IGNORECASE)


class Clients:
    """Who may use the API; raises SettingsError for keys that can't be sent or that two clients share."""

    def __init__(self, api_keys: Mapping[str, Sequence[SecretStr]]) -> None:
        owners: dict[bytes, str] = {}
        for client, keys in api_keys.items():
            for key in keys:
                if not _KEY.match(key.get_secret_value()):
                    raise SettingsError(
                        f"RATCHET_API_KEYS: a key of {client!r} is not {KEY_LENGTH_MIN} to {KEY_LENGTH_MAX} visible "
                        "characters; make one by `openssl rand -hex 24`"
                    )
                if owners.setdefault(_digest(key.get_secret_value()), client) != client:
                    raise SettingsError(f"RATCHET_API_KEYS: {client!r} shares a key with another client")
        self._owners = tuple(owners.items())

    def find(self, authorization: Sequence[str]) -> str | None:
        """Return the client whose key the `Authorization` fields carry (RFC 6750, 2.1), or None.

        Every known key is compared, so the time tells neither which one it was nor how near it came.
        """
        bearer = _BEARER.match(authorization[0]) if len(authorization) == 1 else None
        presented, found = _digest(bearer[1] if bearer else ""), None
        for known, client in self._owners:
            if hmac.compare_digest(known, presented):
                found = client
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
