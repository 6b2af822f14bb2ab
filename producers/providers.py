"""The one function for all signature checks, at the name that the public contract gives it."""

from __future__ import annotations

from providers import find, names, verify
from providers.core.contract import REASONS, Notification, Trust
from schemas.errors import SignatureRejected

__all__ = ["REASONS", "Notification", "SignatureRejected", "Trust", "find", "names", "verify"]
