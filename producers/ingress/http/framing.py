"""What a request's head must be before anybody reads it: one framing, one host, within its bounds; pure."""

from __future__ import annotations

import re
from typing import Final

Fields = list[tuple[bytes, bytes]]

VERSIONS: Final = frozenset({"1.0", "1.1"})
BLANK_LINE: Final = b"\r\n\r\n"
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
"""`uri-host [":" port]` (RFC 9110, 7.2; RFC 3986, 3.2.2); it may be empty."""


class MalformedHeadError(Exception):
    """A head that two readers could read in two ways, or that HTTP/1.1 does not allow."""


class HeadTooLargeError(Exception):
    """A head over its bound."""


def need_version(http_version: str) -> None:
    """Raise MalformedHeadError for a version that is not spoken here (RFC 9112, 2.3)."""
    if http_version not in VERSIONS:
        raise MalformedHeadError


def need_one_host(headers: Fields, http_version: str) -> None:
    """Raise MalformedHeadError for two Host fields, none in HTTP/1.1, or one that is no host (RFC 9112, 3.2)."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and http_version != "1.0"):
        raise MalformedHeadError
    if hosts and not _HOST.match(hosts[0]):
        raise MalformedHeadError


def need_one_framing(headers: Fields, http_version: str, *, upgrade: bool) -> None:
    """Raise MalformedHeadError where two readers could disagree on the body's end (RFC 9112, 6.1 and 6.3).

    A body behind an upgrade counts as such: the parser takes what follows the head for the other protocol's.
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1 or (codings and http_version == "1.0"):
        raise MalformedHeadError
    if upgrade and (codings or lengths not in ([], [b"0"])):
        raise MalformedHeadError


def body_bytes(headers: Fields) -> int:
    """Return the length of the body that follows the head, 0 where it has none or comes in chunks."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def next_piece(data: bytes, begin: int, body_left: int, before: bytes) -> int:
    """Return the end of what may be parsed from `begin` on so that no second request begins in it.

    `body_left` are the bytes of a body under way whose length is known. Everything else that ends a request (a head,
    the last of its chunks) ends with a blank line, of which `before`, the last bytes parsed, may hold the beginning.
    """
    if body_left:
        return min(len(data), begin + body_left)
    seam = (before + data[begin : begin + len(BLANK_LINE) - 1]).find(BLANK_LINE)
    end = begin + seam - len(before) if seam >= 0 else data.find(BLANK_LINE, begin)
    return len(data) if end < 0 and seam < 0 else end + len(BLANK_LINE)
