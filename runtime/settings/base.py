"""What settings are made of: bounded numbers, lists that come as text, frozen groups."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from runtime.secret_windows import plain_secret

Seconds = Annotated[float, Field(gt=0)]
PerSecond = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _decode_json(value: object) -> object:
    """Decode JSON that came as text: deep names of the environment reach us undecoded."""
    return json.loads(value) if isinstance(value, str) else value


def _readable(path: Path) -> Path:
    """Take the path of a file that is there and may be read."""
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError(f"{path} is no file that can be read; mount it there, let this user read it, or set its path")
    return path


ExistingFile = Annotated[Path, AfterValidator(_readable)]
_HTTP_URL: Final = re.compile(r"(https?)://([^\s/?#@]+)(/[^\s?#]*)?")
_LOOPBACK: Final = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?", re.IGNORECASE)


def _http_url(text: str) -> str:
    """Take a URL that something can be joined to."""
    if not _HTTP_URL.fullmatch(text):
        raise ValueError("is no URL; write https://host[:port][/path], without user, query, fragment or white space")
    return text


def _https_or_loopback(text: str) -> str:
    """Take a URL by which a key may be sent: over TLS, or to this machine."""
    found = _HTTP_URL.fullmatch(text)
    if found and found[1] != "https" and not _LOOPBACK.fullmatch(found[2]):
        raise ValueError("would send an API key unencrypted; write https:// (http:// is for loopback alone)")
    return text


OperatorName = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f](?:[^\x00-\x1f]{0,126}[^\s\x00-\x1f])?$")]
"""Who acts at this terminal, for the audit: text on one line, without blanks around it."""
HttpUrl = Annotated[str, AfterValidator(_http_url)]
ApiUrl = Annotated[str, AfterValidator(_http_url), AfterValidator(_https_or_loopback)]
PlainSecret = Annotated[SecretStr, AfterValidator(plain_secret)]
Item = TypeVar("Item")
JsonTuple = Annotated[tuple[Item, ...], BeforeValidator(_decode_json)]
JsonObject = Annotated[dict[str, Item], BeforeValidator(_decode_json)]


def _as_list(value: object) -> object:
    """Take one key for a list of one."""
    return (value,) if isinstance(value, str | SecretStr) else value


ClientName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
_PATH_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
AccountPath = Annotated[str, AfterValidator(str.lower), Field(pattern=rf"^{_PATH_PART}(/{_PATH_PART})?$")]
"""One endpoint as its webhooks name it: `provider`, or `provider/account`. It has no case."""
ApiKeys = Annotated[tuple[PlainSecret, ...], BeforeValidator(_as_list), Field(min_length=1)]
"""The keys of one client of the intents API: one, or a list while an old one is being replaced."""


class Group(BaseModel):
    """Base of all groups: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
