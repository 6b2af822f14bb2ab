"""Secrets of the configuration that live for a while: from a time on, up to a time, or always."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, SecretStr, Tag, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable


class DatedSecret(BaseModel):
    """A secret with its window; both ends belong to it (as in RFC 5280, 4.1.2.5), and an end left out is open."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret: SecretStr
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


Secret = Annotated[Annotated[SecretStr, Tag("text")] | Annotated[DatedSecret, Tag("dated")], Discriminator(_form)]
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
