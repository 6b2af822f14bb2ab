"""Who a visitor is: a person with a name and a role, or one of the two ways in that know no names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ops.people import PersonRole


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever signed in; without an `operator_id` by an OpenID provider or one of the ways in below.

    `one_time`: the own password is still to be chosen, and nothing else may be done.
    """

    name: str
    role: PersonRole
    operator_id: int | None = None
    one_time: bool = False


EMERGENCY: Final = Person("emergency", PersonRole.ADMIN)
"""Whoever knows the password of the settings: may all, and is written down as such."""
UNNAMED: Final = Person("unnamed", PersonRole.ADMIN)
"""Whoever reaches a console on loopback that has neither a password nor people."""
