"""Texts of strangers on their way to a terminal: the characters that it would obey, and what stands in their place.

A terminal obeys C0 and C1 control characters (ECMA-48: ESC, CSI, OSC and their one-character forms), and what shows
text obeys the marks that turn its direction (UAX #9), by which `exe.png` reads as `gnp.exe`.
"""

from __future__ import annotations

import re
from typing import Final

REPLACEMENT: Final = "\ufffd"
_DIRECTION: Final = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_CONTROLS: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTION}]")
_IN_JSON: Final = re.compile(f"[\x7f-\x9f{_DIRECTION}]")
"""What JSON may hold as it is; it escapes C0 itself."""


def harmless(text: str) -> str:
    """Return the text with every control character but tab and newline replaced."""
    return _CONTROLS.sub(REPLACEMENT, text)


def harmless_json(text: str) -> str:
    """Return JSON text with such characters escaped: it says the same."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
