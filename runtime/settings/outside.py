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
    """The address of the API."""
    account_sid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """The account."""
    auth_token: PlainSecret | None = None
    """The account's token."""
    from_number: Annotated[str | None, Field(alias="from", min_length=1, max_length=64)] = None
    """The sender's number."""

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

    Where the provider may have a message that it did not confirm, the message is looked up before it is sent again.
    """

    twilio: TwilioSettings = TwilioSettings()
    off: Mapping[str, JsonTuple[str]] = Field(default_factory=dict)
    """For each client the templates that it does not want; `"*"` stands for all of them."""
    workers: Count = 4
    """Messages in hand at once."""
    sends_max: Count = 8
    """Tries to send after which a message is only looked up."""
    attempts_max: Count = 16
    """Tries in all, after which it has failed."""
    backoff_initial_seconds: Seconds = 2.0
    """The first pause between two tries."""
    backoff_max_seconds: Seconds = 600.0
    """The longest pause between two tries."""
    unsure_seconds: Seconds = 60.0
    """How long an unconfirmed message waits before it is looked up: the provider's list may be late."""
    account_pause_seconds: Seconds = 60.0
    """How long an account that the provider refuses is left alone; its messages wait."""
    lookup_page_messages: Count = 100
    """Messages of one page of the provider's list."""
    lookup_pages_max: Count = 5
    """Pages that are read to find one message."""
    clock_skew_seconds: Seconds = 24 * 3600.0
    """How much older than its row a message may be in the provider's list."""

    def wants(self, client: str | None, template: str) -> bool:
        """Tell whether a client's customers get this message; a payment of no client has nobody who refused."""
        off = self.off.get(client or "", ())
        return template not in off and "*" not in off


class AccountSettings(Group):
    """One tenant of a provider.

    Where it sets no `body_bytes_max`, `source_networks`, `unsigned`, `mode`, `capture` or `recall` it has its
    provider's.
    """

    secrets: JsonTuple[Secret] = ()
    """Live secrets, newest first: a text, or a table with `secret`, `not_before` and `not_after`."""
    shown_secrets: JsonTuple[Secret] = ()
    """What a scheme shows on each request instead of signing with it (Flutterwave's version 3)."""
    body_bytes_max: Count | None = None
    """The largest body; unset: the ingress' own bound, which is the most."""
    merchant_accounts: JsonTuple[str] = ()
    """Merchant accounts that a body may name (Adyen), or whose orders come here (PayPal: all, where there are several);
    unset: any.
    """
    source_networks: JsonTuple[IPvAnyNetwork] = ()
    """Networks that webhooks may come from; unset: any."""
    api_key: PlainSecret | None = None
    """The API's secret key or access token (M-Pesa: the consumer key; PayPal: the client's id; Razorpay: the key's id;
    Braintree: the public key).
    """
    api_secret: PlainSecret | None = None
    """The API's secret, where it has one."""
    api_merchant: str | None = None
    """The merchant's number (M-Pesa) or id (Braintree)."""
    api_pass_key: PlainSecret | None = None
    """The pass key (M-Pesa)."""
    api_initiator: str | None = None
    """The operator who asks about transactions (M-Pesa)."""
    api_initiator_credential: PlainSecret | None = None
    """The operator's password as the provider's portal encrypts it (M-Pesa)."""
    api_base_url: ApiUrl | None = None
    """The API's address, where that is not the provider's public one (Shopify's is always the shop's own)."""
    unsigned: bool | None = None
    """Whether webhooks that nobody signed are taken as hints; unset: where the provider's ordinary ones are unsigned.
    """
    mode: Literal["test", "live"] | None = None
    """The mode of deliveries that don't sign theirs; unset: live."""
    capture: Literal["automatic", "manual"] | None = None
    """What an authorization without an intent means where the provider doesn't say (Adyen): the money is taken at once,
    or not. Unset: manual.
    """
    recall: bool | None = None
    """Whether the provider's list is asked regularly for webhooks that never came; unset: not."""


class ProviderSettings(AccountSettings):
    """One provider: its own endpoint, and tenants by account name."""

    accounts: Mapping[str, AccountSettings] = Field(default_factory=dict)
    """Tenants, each by the name in its webhooks' URL."""
    trust_roots: Path | None = None
    """PayPal: certificates (PEM) that its must chain to; unset: the system's."""
    intermediates: Path | None = None
    """PayPal: certificates (PEM) between those and its own."""
    certificate_hosts: JsonTuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,253}$")]] = ()
    """PayPal: hosts that may serve its certificates; unset: those of its live API."""

    def account(self, name: str) -> AccountSettings | None:
        """Return the account's settings; "" is the provider's own. Names have no case."""
        return self if not name else {key.lower(): value for key, value in self.accounts.items()}.get(name.lower())


class ClientSettings(Group):
    """One client of the intents API."""

    accounts: JsonTuple[AccountPath] | None = None
    """Endpoints that it may name, as `provider` or `provider/account`; unset: every one that is configured."""
