"""What `ratchet doctor` says of the settings alone: nobody is asked."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import providers
from ops.finding import Finding
from ops.loopback import leads_to_loopback
from runtime.secret_windows import ends_at, live_at
from runtime.settings.scopes import scopes_of
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runtime.secret_windows import Secret
    from runtime.settings import Settings


def configuration(settings: Settings) -> list[Finding]:
    """Look at what is configured; settings that load hold no unknown name. Secrets are counted, never shown."""
    where = "the embedded stack" if settings.embedded() else "configured endpoints"
    findings = [Finding("settings", ok=True, found=f"{where}, home {settings.home}")]
    counts = {name: len(provider.secrets) for name, provider in settings.providers.items()}
    for name, provider in settings.providers.items():
        counts |= {f"{name}/{account}": len(found.secrets) for account, found in provider.accounts.items()}
    shown = ", ".join(f"{name}: {number}" for name, number in sorted(counts.items()) if number)
    advice = "" if shown else "set RATCHET_PROVIDERS__<NAME>__SECRETS; `ratchet up` makes some up for its sample"
    findings.append(Finding("secrets", ok=True, found=shown or "none: every webhook is answered 404", advice=advice))
    findings += secret_findings(settings, time.time())
    findings += kafka_findings(settings, time.time())
    findings += scope_findings(settings)
    findings += executor_findings(settings)
    findings += recall_findings(settings)
    findings += api_findings(settings)
    if settings.postgres.owner_dsn is None and not settings.embedded():
        advice = "set RATCHET_POSTGRES__OWNER_DSN where migrations are run"
        findings.append(Finding("owner DSN", ok=True, found="not set", advice=advice))
    return findings


def secret_findings(settings: Settings, now: float) -> list[Finding]:
    """Look at the secrets that end soon or have ended, by their place; `now` is unix seconds."""
    return [
        finding
        for name, provider in sorted(settings.providers.items())
        for place, account in ((name, provider), *((f"{name}/{key}", one) for key, one in provider.accounts.items()))
        for finding in _endings(place, account.secrets, now, now + settings.ops.secret_notice_seconds)
    ]


def _endings(place: str, secrets: Sequence[Secret], now: float, soon: float) -> list[Finding]:
    """Check one endpoint's secrets: it is wrong where none is live now, or where none would be once the next ends."""
    advice = (
        "add the next secret at the provider and in RATCHET_PROVIDERS__<NAME>__SECRETS, and remove those that ended"
    )
    ending = [(number, ends_at(secret)) for number, secret in enumerate(secrets, 1) if ends_at(secret) <= soon]
    covered = bool(live_at(secrets, now)) and bool(live_at(secrets, soon))
    shown = [f"number {number} {'ended' if end < now else 'ends'} {_date(end)}" for number, end in ending]
    if secrets and not live_at(secrets, now):
        shown = ["none is live now: every webhook is answered 401", *shown]
    return [Finding(f"secrets of {place}", ok=covered, found="; ".join(shown), advice=advice)] if shown else []


def executor_findings(settings: Settings) -> list[Finding]:
    """Look for endpoints whose commands nobody may answer: each of them would expire."""
    answered = {account.lower() for accounts in settings.executors.values() for account in accounts}
    configured = [source_of(*key) for key in scopes_of(settings).configured() if _takes_payments(key[0])]
    silent = [place for place in configured if place not in answered]
    if not settings.api_keys or not silent:
        return []
    advice = "name who carries them out in RATCHET_EXECUTORS, or let no client ask for captures, cancels and refunds"
    shown = f"nobody may answer commands for: {', '.join(silent)}"
    return [Finding("executors", ok=True, found=shown, advice=advice)]


def _takes_payments(provider: str) -> bool:
    found = providers.find(provider)
    return found is not None and found.payments


def recall_findings(settings: Settings) -> list[Finding]:
    """Look for endpoints that are to be asked for what never came and can't be: nobody would notice what is missing."""
    from consumer.dispatcher.apis import accounts
    from consumer.dispatcher.lists import wants_recall, why_not
    from runtime.settings import ProviderSettings

    findings = []
    for provider, account, configured in accounts(settings):
        unused = isinstance(configured, ProviderSettings) and configured.accounts and not configured.secrets
        wanted = not unused and wants_recall(settings, provider, configured)
        if wanted and (shown := why_not(provider, account, configured)) is not None:
            place = source_of(provider, account)
            advice = "set what the list needs, or RECALL=false (docs/find-what-never-came.md)"
            findings.append(Finding(f"recall of {place}", ok=False, found=shown, advice=advice))
    return findings


def api_findings(settings: Settings) -> list[Finding]:
    """Look for endpoints whose webhooks say nothing of money until the API is read, and whose API can't be."""
    from consumer.dispatcher.apis import accounts, credentials_of
    from runtime.settings import ProviderSettings

    findings = []
    for provider, account, configured in accounts(settings):
        known = providers.find(provider)
        unused = isinstance(configured, ProviderSettings) and configured.accounts and not configured.secrets
        if unused or known is None or known.refetch is None or not known.learned_by_api:
            continue
        credentials = credentials_of(configured, known.refetch.base_url)
        missing = [f"api_{name}" for name in ("key", *known.refetch.needs) if not getattr(credentials, name)]
        if missing:
            place = f"RATCHET_PROVIDERS__{provider.upper()}" + (f"__ACCOUNTS__{account.upper()}" if account else "")
            shown = f"{', '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set: {known.learned_by_api}"
            advice = f"set {', '.join(f'{place}__{name.upper()}' for name in missing)} where it gets such webhooks:"
            advice += " what they are about is queued for the API, and its money stays unknown until then"
            findings.append(Finding(f"API of {source_of(provider, account)}", ok=True, found=shown, advice=advice))
    return findings


def scope_findings(settings: Settings) -> list[Finding]:
    """Look at who may name which endpoint, and at endpoints that leave open when money is taken."""
    scopes, findings = scopes_of(settings), []
    for client, missing in scopes.not_configured().items():
        advice = "give the endpoint a secret, or take it out of RATCHET_CLIENTS__<NAME>__ACCOUNTS"
        shown = f"not configured: {', '.join(missing)}"
        findings.append(Finding(f"accounts of client {client}", ok=False, found=shown, advice=advice))
    free = scopes.unbounded(settings.api_keys) if len(settings.api_keys) > 1 else []
    if free:
        advice = "set RATCHET_CLIENTS__<NAME>__ACCOUNTS: clients that share an account can take each other's payments"
        shown = f"may name every account: {', '.join(free)}"
        findings.append(Finding("accounts of clients", ok=True, found=shown, advice=advice))
    if shared := scopes.shared():
        advice = "nothing, if they may see each other's money: the first intent that fits has a payment; else give each"
        advice += " an account of its own in RATCHET_CLIENTS__<NAME>__ACCOUNTS"
        shown = "; ".join(f"{place} is listed by {', '.join(clients)}" for place, clients in shared.items())
        findings.append(Finding("shared accounts", ok=True, found=shown, advice=advice))
    for provider, account in scopes.configured():
        known = providers.find(provider)
        if known is not None and known.capture_by_setting and scopes.terms(provider, account).capture is None:
            advice = f"set RATCHET_PROVIDERS__{provider.upper()}__CAPTURE to automatic or manual, as the account has it"
            shown = "not set: an authorization without an intent waits for a capture"
            place = source_of(provider, account)
            findings.append(Finding(f"capture of {place}", ok=True, found=shown, advice=advice))
    return findings


def kafka_findings(settings: Settings, now: float) -> list[Finding]:
    """Look at how Kafka is reached, and when our certificate ends; `now` is unix."""
    found = settings.kafka
    if found.security_protocol == "PLAINTEXT":
        return plaintext_findings(found.bootstrap or "")
    shown: list[str] = [found.security_protocol]
    if found.sasl:
        whom = f"in {found.aws_region}" if found.sasl_mechanism == "AWS_MSK_IAM" else f"as {found.login_name}"
        shown.append(f"{found.sasl_mechanism} {whom}")
    if found.tls:
        shown.append(f"CAs of {found.ca_file or 'the system'}")
    open_password = found.security_protocol == "SASL_PLAINTEXT"
    advice = "records, and with PLAIN the password, can be read on their way; take SASL_SSL" if open_password else ""
    findings = [Finding("kafka security", ok=True, found=", ".join(shown), advice=advice)]
    if found.certificate_file is not None:
        findings.append(certificate_finding(found.certificate_file, now, now + settings.ops.secret_notice_seconds))
    return findings


def plaintext_findings(bootstrap: str) -> list[Finding]:
    """Look at a Kafka that asks nobody for a name: at loopback it is the embedded one, elsewhere whoever gets there."""
    if all(leads_to_loopback(one) for one in bootstrap.split(",") if one.strip()):
        return []
    shown = "PLAINTEXT: whoever reaches Kafka can write events that count as verified"
    advice = "set RATCHET_KAFKA__SECURITY_PROTOCOL to SASL_SSL or SSL, with ACLs a process (deploy/README.md)"
    return [Finding("kafka security", ok=False, found=shown, advice=advice)]


def certificate_finding(path: Path, now: float, soon: float) -> Finding:
    """Check when the certificate by which Kafka knows us ends."""
    from cryptography import x509

    check, advice = "kafka certificate", "put the next one and its key in the place of the files; no restart is needed"
    try:
        end = x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError) as error:
        shown = f"{path} cannot be read ({type(error).__name__})"
        return Finding(check, ok=False, found=shown, advice="RATCHET_KAFKA__CERTIFICATE_FILE takes PEM")
    shown = f"{'ended' if end < now else 'ends'} {_date(end)}"
    return Finding(check, ok=end > soon, found=shown, advice="" if end > soon else advice)


def _date(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
