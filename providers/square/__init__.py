"""Square: what it signs and what its events mean (`meaning`), and which kinds it publishes (`kinds`)."""

from typing import Final

from providers.core.contract import Provider
from providers.square.kinds import CATALOGUE
from providers.square.meaning import interpret, verify

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider("square", verify, interpret, catalogue=CATALOGUE)
