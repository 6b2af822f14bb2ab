"""Tokens for Amazon MSK by IAM: a signed URL in the place of a password, sent by SASL OAUTHBEARER.

What is signed is the action `kafka-cluster:Connect` at the region's endpoint, as the signers that Amazon publishes do
it (aws-msk-iam-sasl-signer): Signature Version 4 in the query, base64url without padding, a quarter of an hour at most.
botocore signs, and finds credentials wherever AWS puts them: variables, files, a service account's role, the instance.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from runtime.kafka_security import TokenError
from runtime.kafka_tokens import KeptToken

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

SERVICE: Final = "kafka-cluster"
ACTION: Final = "kafka-cluster:Connect"
EXPIRES_SECONDS: Final = 900
"""How long the broker takes a signed URL."""
LASTS_SECONDS: Final = 600.0
"""How long we use it: botocore renews credentials ten minutes before they end, and with them ends what they signed."""
AGENT: Final = "ratchet"


class SignedUrl(KeptToken):
    """The token of this process's AWS identity."""

    _session: Session | None = None

    async def _fetch(self) -> tuple[str, float]:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                return await asyncio.to_thread(self._sign), LASTS_SECONDS
        except TimeoutError:
            why = "they did not come in time"
        except (BotoCoreError, ClientError) as error:
            why = str(error)
        raise TokenError(
            f"wants a signature of AWS, and there are no credentials for it ({why}); give the process a role or an "
            "access key, as botocore finds them"
        )

    def _sign(self) -> str:
        self._session = self._session or Session()
        credentials = credentials_of(self._session)
        region = self._settings.aws_region or ""
        url = f"https://kafka.{region}.amazonaws.com/?Action={quote(ACTION, safe='')}"
        return token_of(signed_url(url, credentials.get_frozen_credentials(), SERVICE, region, EXPIRES_SECONDS))


def credentials_of(session: Session) -> Credentials:
    """Return the credentials that AWS gives this process; raise TokenError where it gives none."""
    found = session.get_credentials()
    if found is None:
        raise TokenError(
            "wants a signature of AWS, and there are no credentials for it; give the process a role (in Kubernetes: its"
            " service account's) or an access key, as botocore finds them"
        )
    return found


def signed_url(url: str, credentials: ReadOnlyCredentials, service: str, region: str, seconds: int) -> str:
    """Return a GET of this URL with its signature in the query (AWS Signature Version 4)."""
    request: Any = AWSRequest(method="GET", url=url)
    SigV4QueryAuth(credentials, service, region, expires=seconds).add_auth(request)
    return str(request.url)


def token_of(url: str) -> str:
    """Return a signed URL as the broker takes it; who asks is added after the signing, as Amazon's signers do."""
    return base64.urlsafe_b64encode(f"{url}&User-Agent={AGENT}".encode()).rstrip(b"=").decode()


def identity_found() -> str:
    """Say where this process's credentials come from, for people; raise TokenError where there are none."""
    try:
        return f"AWS credentials by {credentials_of(Session()).method}"
    except (BotoCoreError, ClientError) as error:
        raise TokenError(str(error)) from error
