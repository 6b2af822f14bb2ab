"""Signing in to the console by OpenID Connect."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from runtime.settings.base import ApiUrl, Count, Group, JsonObject, Seconds


class SsoSettings(Group):
    """Signing in to the console by OpenID Connect; needs `ratchet-payments[sso]` and the console's `public_url`.

    The provider redirects to `public_url`/sso/callback.
    """

    issuer: ApiUrl | None = None
    """The provider; once it is set, people may sign in by it."""
    client_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """The client that the console is at the provider."""
    client_secret: SecretStr | None = None
    """That client's secret, where it has one."""
    scopes: Annotated[str, Field(pattern=r"^openid( [a-zA-Z0-9_.:/-]+)*$")] = "openid email profile"
    """The scopes that are asked for."""
    name_claim: Annotated[str, Field(min_length=1, max_length=128)] = "email"
    """The claim by which the audit knows people."""
    role_claim: Annotated[str, Field(min_length=1, max_length=128)] = "groups"
    """The claim, a text or a list, whose values `roles` turns into roles."""
    roles: JsonObject[Literal["viewer", "operator", "admin"]] = Field(default_factory=dict)
    """Which value gives which role, as in `{"ratchet-oncall": "operator"}`; the highest counts, and a person
    without one is refused.
    """
    timeout_seconds: Seconds = 5.0
    """How long the provider may take to answer."""
    answer_bytes_max: Count = 256 * 1024
    """The largest answer of the provider that is read."""
    metadata_seconds: Seconds = 3600.0
    """How long the provider's description and keys are kept."""
    attempt_seconds: Count = 600
    """How long a sign-in may take."""
    leeway_seconds: Count = 60
    """How far the provider's clock may differ from ours."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer is not None and (self.client_id is None or not self.roles):
            raise ValueError("issuer needs client_id and roles: which claim gives which role")
        return self
