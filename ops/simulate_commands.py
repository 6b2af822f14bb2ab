"""`ratchet simulate`: one signed life for developers, and what became of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table

from ops import endpoints, simulate
from ops.loopback import leads_to_loopback
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit
from ops.payment_commands import payment_table, timeline_table
from ops.sample import orders
from ops.sample.plan import PROVIDERS
from ops.sample.scenarios import SCENARIOS, why_not
from ops.sample.signing import MERCHANT_ACCOUNT, Signer, can_sign
from ops.simulated.players import PLAYERS
from runtime.secret_windows import live_at
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ops.simulate import Played
    from runtime.settings import Settings

WAIT_SECONDS = 20.0
SHOWS = "; ".join(f"{name}: {one.shows}" for name, one in SCENARIOS.items())


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate", epilog=f"Scenarios: {SHOWS}.")(run)


def _named(provider: str, scenario: str) -> None:
    """Raise SettingsError for a provider or a scenario that is not known."""
    if scenario not in SCENARIOS:
        raise SettingsError(f"{scenario!r} is no scenario; there are {', '.join(SCENARIOS)}")
    if (reason := why_not(scenario, provider)) is not None:
        raise SettingsError(reason)


def _signers(settings: Settings, provider: str, base: str) -> dict[str, Signer]:
    """Return who signs: the provider, and the client of the intent that some providers' payments begin with."""
    configured = {name.lower(): one for name, one in settings.providers.items()}.get(provider)
    secrets_of = live_at(configured.secrets, time.time()) if configured else ()
    able = [secret for secret in secrets_of if can_sign(provider, secret)]
    if configured is None or not able:
        raise SettingsError(
            f"RATCHET_PROVIDERS__{provider.upper()}__SECRETS holds no secret to sign with; set it as for the ingress"
        )
    account = next(iter(configured.merchant_accounts), MERCHANT_ACCOUNT)
    found = {provider: Signer(able[0], account, (settings.public_url or base).rstrip("/"))}
    if provider in PLAYERS and PLAYERS[provider].by_intent:
        keys = [key for keys in settings.api_keys.values() for key in keys]
        if not keys:
            raise SettingsError(
                f"the events of {provider} say no amount, so its payments begin with an intent: set RATCHET_API_KEYS"
            )
        found[orders.CLIENT] = Signer(keys[0].get_secret_value())
    return found


def shown(played: Played) -> RenderableType:
    """Return what people read: each delivery, then the payment and its timeline."""
    title = f"{played.scenario} of {played.provider} at {played.url}"
    table = Table("event", "answer", "became", title=title)
    for one in played.delivered:
        again = " (again)" if one.duplicate else ""
        answer = f"{one.status} {HTTPStatus(one.status).phrase}"
        table.add_row("\n".join(one.event_ids or (one.name,)) + again, answer, "\n".join(one.fates))
    parts: list[RenderableType] = [table]
    for shown in played.timelines:
        parts += [payment_table(shown.payment), timeline_table(shown.timeline, shown.payment["currency"])]
    parts += [f"not as it should be: {problem}" for problem in played.problems]
    return Group(*parts) if played.timelines else Group(*parts, f"no payment {played.ref} came of it")


@command
def run(  # noqa: PLR0913 - one argument an option
    provider: Annotated[str, typer.Argument(help=f"One of {', '.join((*PROVIDERS, *PLAYERS))}.")],
    scenario: Annotated[str, typer.Argument(help="What happens to the payment; see below.")],
    *,
    url: Annotated[str | None, typer.Option(help="The ingress; else the one that runs here.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes the same ids again.")] = None,
    wait_seconds: Annotated[float, typer.Option(help="How long to wait for the ledger.")] = WAIT_SECONDS,
    yes: Annotated[bool, typer.Option("--yes", help="Post to an ingress on another machine.")] = False,
    as_json: AsJson = False,
) -> int:
    """Post one signed life of a payment to the running ingress and show what became of it.

    It is test money where the provider signs the mode; elsewhere the endpoint's setting says. Exit 1 where the payment
    does not stand as the scenario has it.
    """
    _named(provider, scenario)
    settings = endpoints.found(endpoints.load())
    base = (url or simulate.ingress_of(settings)).rstrip("/")
    if not leads_to_loopback(base) and not yes:
        raise SettingsError(f"{base} is another machine: made-up payments would stand in its ledger; add --yes if so")
    signers = _signers(settings, provider, base)
    played = asyncio.run(
        simulate.simulate(
            settings,
            scenario,
            provider,
            signers,
            url=base,
            seed=seed or secrets.randbits(63),
            wait_seconds=wait_seconds,
        )
    )
    emit(simulate.document(played), as_json=as_json, show=lambda: shown(played))
    return EXIT_PROBLEM if played.problems else EXIT_DONE
