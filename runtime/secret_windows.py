"""Secrets of the configuration that live for a while: from a time on, up to a time, or always."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    SecretStr,
    Tag,
    model_validator,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def plain_secret(secret: SecretStr) -> SecretStr:
    """Take a secret as it is compared and hashed, byte by byte: white space around it came from a file or a shell."""
    text = secret.get_secret_value()
    if text != text.strip() or not text.isprintable():
        raise ValueError("has white space around it, or a control character in it, and would fit nothing; remove that")
    return secret


CHARACTERS_MIN: Final = 24
DIFFERENT_CHARACTERS_MIN: Final = 8


def is_strong(text: str) -> bool:
    """Tell whether a secret that is compared, or stands in a path, is long and varied enough not to be guessed."""
    return len(text) >= CHARACTERS_MIN and len(set(text)) >= DIFFERENT_CHARACTERS_MIN


class DatedSecret(BaseModel):
    """A secret with its window; both ends belong to it (as in RFC 5280, 4.1.2.5), and an end left out is open."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret: Annotated[SecretStr, AfterValidator(plain_secret)]
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.not_before and self.not_after and self.not_before > self.not_after:
            raise ValueError("not_before is later than not_after")
        return self

    def get_secret_value(self) -> str:
        """Return the secret itself, whatever the time."""
        return self.secret.get_secret_value()


def _form(value: Any) -> str:
    return "dated" if isinstance(value, dict | DatedSecret) else "text"


Secret = Annotated[
    Annotated[SecretStr, AfterValidator(plain_secret), Tag("text")] | Annotated[DatedSecret, Tag("dated")],
    Discriminator(_form),
]
"""A setting's item: a text, or `{"secret": ..., "not_before": ..., "not_after": ...}`, times with their zone."""


def starts_at(secret: SecretStr | DatedSecret) -> float:
    """Return the unix time from which the secret is live."""
    start = secret.not_before if isinstance(secret, DatedSecret) else None
    return float("-inf") if start is None else start.timestamp()


def ends_at(secret: SecretStr | DatedSecret) -> float:
    """Return the unix time up to which the secret is live."""
    end = secret.not_after if isinstance(secret, DatedSecret) else None
    return float("inf") if end is None else end.timestamp()


def live_at(secrets: Iterable[SecretStr | DatedSecret], now: float) -> tuple[str, ...]:
    """Return the secrets that are live at a unix time, in their order; one outside its window is as if absent."""
    return tuple(
        [
            secret.get_secret_value()
            for secret in secrets
            if not isinstance(secret, DatedSecret) or starts_at(secret) <= now <= ends_at(secret)
        ]
    )
