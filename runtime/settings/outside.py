"""Who we hear from and talk to: providers, their accounts and secrets, messages to customers."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.networks import IPvAnyNetwork  # noqa: TC002 - pydantic reads the annotations

from runtime.secret_windows import Secret  # noqa: TC001 - pydantic reads the annotations
from runtime.settings.base import AccountPath, ApiUrl, Count, Group, JsonTuple, PlainSecret, Seconds


class TwilioSettings(Group):
    """Twilio's REST API, or a service of its shape. All three of account, token and sender number, or none."""

    model_config = ConfigDict(populate_by_name=True)

    base_url: ApiUrl = "https://api.twilio.com"
    account_sid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    auth_token: PlainSecret | None = None
    from_number: Annotated[str | None, Field(alias="from", min_length=1, max_length=64)] = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = (self.account_sid, self.auth_token, self.from_number)
        if any(given) and not all(given):
            raise ValueError("ACCOUNT_SID, AUTH_TOKEN and FROM belong together: set all of them, or none")
        return self

    @property
    def configured(self) -> bool:
        """Whether messages can be sent."""
        return self.account_sid is not None


class SmsSettings(Group):
    """Messages to customers: on as soon as a provider of them is configured.

    `off` names templates that a client does not want; `"*"` stands for all of them. After `sends_max` tries a message
    is only looked up, and after `attempts_max` it has failed. Where the provider may have a message that it did not
    confirm, it is looked up after `unsure_seconds`, before a second send: the provider's list may be late. An account
    that is refused is left alone for `account_pause_seconds`; its messages wait. `lookup_pages_max` pages of
    `lookup_page_messages` are read to find one that was sent without an answer; a message is not older than its row
    less `clock_skew_seconds`.
    """

    twilio: TwilioSettings = TwilioSettings()
    off: Mapping[str, JsonTuple[str]] = Field(default_factory=dict)
    workers: Count = 4
    sends_max: Count = 8
    attempts_max: Count = 16
    backoff_initial_seconds: Seconds = 2.0
    backoff_max_seconds: Seconds = 600.0
    unsure_seconds: Seconds = 60.0
    account_pause_seconds: Seconds = 60.0
    lookup_page_messages: Count = 100
    lookup_pages_max: Count = 5
    clock_skew_seconds: Seconds = 24 * 3600.0

    def wants(self, client: str | None, template: str) -> bool:
        """Tell whether a client's customers get this message; a payment of no client has nobody who said no."""
        off = self.off.get(client or "", ())
        return template not in off and "*" not in off


class AccountSettings(Group):
    """One tenant of a provider.

    Webhooks from outside `source_networks` are refused (none: any; an account without its own has the provider's), and
    so are bodies over `body_bytes_max` (none: the ingress' own bound, which is the most).
    `shown_secrets` are what a scheme shows on each request instead of signing with it (Flutterwave's version 3).
    `api_*` is what a refetch takes: the key (M-Pesa: the consumer key; PayPal: the client's id; Razorpay: the key's id;
    Braintree: the public key; else the secret key or access token), its secret where the provider has one, the
    merchant's number (M-Pesa) or id (Braintree) and pass key (M-Pesa), the operator who asks about transactions with
    the encrypted password that the provider's portal makes of it (M-Pesa), and another address than the provider's
    public one (needed of Shopify, whose API is the shop's own).

    An account without its own `unsigned`, `mode` or `capture` has the provider's. `unsigned` takes webhooks that nobody
    signed as hints, which only have the payment read again at the provider's API; unset, they are taken where the
    provider's ordinary webhook is unsigned. `mode` is that of deliveries which don't sign theirs; unset, it is live.
    `capture` says what an authorization that no intent announced means at a provider that doesn't say it itself
    (Adyen): automatic, the money is taken at once; unset, it is manual.
    `recall` asks the provider's list of events regularly for webhooks that never came, with the `api_*` settings; an
    account without its own has the provider's, and unset it is off.
    """

    secrets: JsonTuple[Secret] = ()
    shown_secrets: JsonTuple[Secret] = ()
    body_bytes_max: Count | None = None
    merchant_accounts: JsonTuple[str] = ()
    source_networks: JsonTuple[IPvAnyNetwork] = ()
    api_key: PlainSecret | None = None
    api_secret: PlainSecret | None = None
    api_merchant: str | None = None
    api_pass_key: PlainSecret | None = None
    api_initiator: str | None = None
    api_initiator_credential: PlainSecret | None = None
    api_base_url: ApiUrl | None = None
    unsigned: bool | None = None
    mode: Literal["test", "live"] | None = None
    capture: Literal["automatic", "manual"] | None = None
    recall: bool | None = None


class ProviderSettings(AccountSettings):
    """One provider: live secrets newest first, and tenants by account name.

    PayPal alone: `trust_roots` and `intermediates` are PEM files (no roots: the system's), `certificate_hosts` may
    serve its certificates (none: PayPal's live API; the sandbox's are api.sandbox.paypal.com's).
    """

    accounts: Mapping[str, AccountSettings] = Field(default_factory=dict)
    trust_roots: Path | None = None
    intermediates: Path | None = None
    certificate_hosts: JsonTuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,253}$")]] = ()

    def account(self, name: str) -> AccountSettings | None:
        """Return the account's settings; "" is the provider's own. Names have no case."""
        return self if not name else {key.lower(): value for key, value in self.accounts.items()}.get(name.lower())


class ClientSettings(Group):
    """One client of the intents API.

    `accounts` are the endpoints that it may name, as `provider` or `provider/account`; not set: every one that is
    configured.
    """

    accounts: JsonTuple[AccountPath] | None = None
