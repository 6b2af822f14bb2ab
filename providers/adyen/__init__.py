"""Adyen: what it signs (`signature`), what its events mean (`meaning`), and every event code that it has (`kinds`)."""

from providers.adyen.kinds import CATALOGUE
from providers.adyen.meaning import interpret
from providers.adyen.signature import verify
from providers.core.contract import Provider

__all__ = ["PROVIDER"]

PROVIDER = Provider("adyen", verify, interpret, capture_by_setting=True, catalogue=CATALOGUE)
