"""Twilio's REST API, 2010-04-01: `Messages.json` to send and to look up.

Sources: Twilio's Message resource (create, list) and error dictionary. A list is newest first; a message that was just
taken may be missing from it for a moment, which is one reason why a look-up waits for the backoff.
"""

from __future__ import annotations

import base64
import datetime as dt
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import urlencode, urlsplit

from consumer.dispatcher.sender import AccountRefusedError, Rejected, Taken
from providers.core.reading import read_json, text_at, value_at
from runtime.http import HttpRequest, HttpUnavailableError, need_available
from schemas.errors import SettingsError
from schemas.sms import SmsStatus

if TYPE_CHECKING:
    from consumer.dispatcher.sender import SmsMessage
    from runtime.http import HttpAnswer, HttpClient
    from runtime.settings import Settings

CALLBACK_PATH: Final = "/webhooks/twilio"
_SID_LENGTH_MAX: Final = 64
_ENDS: Final = {"delivered": SmsStatus.DELIVERED, "undelivered": SmsStatus.UNDELIVERED, "failed": SmsStatus.FAILED}
_REDIRECTS: Final = range(300, 400)
_OF_THE_ACCOUNT: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.PAYMENT_REQUIRED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
)
"""Answers about who asks, or about the account that the path names, unless the code is one of the message's."""
_CODES_OF_MESSAGES: Final = range(21000, 22000)
"""Twilio's error dictionary: 21xxx are about one request. What 20xxx and 10xxx say holds for all."""
_CODES_OF_THE_ACCOUNT: Final = {10001, 20003, 20005, 20006, 20008, 21212, 21603, 21606, 21659, 21660}
"""Not active, wrong credentials, test credentials; and a `From` that is none of the account's."""


class TwilioSender:
    """Sends through one Twilio account; see `sender.SmsSender`."""

    def __init__(self, settings: Settings, client: HttpClient) -> None:
        twilio = settings.sms.twilio
        if twilio.account_sid is None or twilio.auth_token is None or twilio.from_number is None:
            raise SettingsError("RATCHET_SMS__TWILIO__ACCOUNT_SID, __AUTH_TOKEN and __FROM are not set")
        self._origin = twilio.base_url.rstrip("/")
        self._host = urlsplit(twilio.base_url).netloc
        self._messages = f"{self._origin}/2010-04-01/Accounts/{twilio.account_sid}/Messages.json"
        self._from = twilio.from_number
        credentials = f"{twilio.account_sid}:{twilio.auth_token.get_secret_value()}".encode()
        self._headers = {
            "Authorization": f"Basic {base64.b64encode(credentials).decode()}",
            "Accept": "application/json",
        }
        self._callback = settings.webhook_base_url() + CALLBACK_PATH
        self._limits = settings.sms
        self._client = client

    async def send(self, message: SmsMessage) -> Taken | Rejected:
        """Hand the message over; an answer without an id says nothing of what Twilio did."""
        form = {"To": message.to_number, "From": self._from, "Body": message.text, "StatusCallback": self._callback}
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._call(HttpRequest("POST", self._messages, headers, urlencode(form).encode()))
        if answer.status >= HTTPStatus.BAD_REQUEST:
            return Rejected(f"{self._host} refuses the message: {answer.status}, code {_code_of(answer) or '-'}")
        taken = _taken(read_json(answer.body))
        if taken is None:
            raise HttpUnavailableError(f"{self._host} answered {answer.status} without a message")
        return taken

    async def find(self, message: SmsMessage) -> Taken | None:
        """Read the messages of that number page by page, newest first, until the mark or an older one is found."""
        query = {"To": message.to_number, "From": self._from, "PageSize": str(self._limits.lookup_page_messages)}
        url = f"{self._messages}?{urlencode(query)}"
        for _ in range(self._limits.lookup_pages_max):
            answer = await self._call(HttpRequest("GET", url, self._headers))
            page = read_json(answer.body)
            listed = value_at(page, "messages")
            if answer.status != HTTPStatus.OK or not isinstance(listed, list):
                raise HttpUnavailableError(f"{self._host} answered {answer.status} without a list of messages")
            for entry in listed:
                if _is(entry, message):
                    return _taken(entry)
            following = value_at(page, "next_page_uri")
            if not isinstance(following, str) or not following.startswith("/") or _all_older(listed, message):
                return None
            url = self._origin + following
        raise HttpUnavailableError(f"{self._host} lists more messages to one number than are looked through")

    async def _call(self, request: HttpRequest) -> HttpAnswer:
        answer = need_available(await self._client.send(request), self._host)
        if answer.status in _REDIRECTS:
            raise HttpUnavailableError(f"{self._host} answered {answer.status}: redirects are not followed")
        if _refuses_account(answer.status, code := _code_of(answer)):
            raise AccountRefusedError(
                f"{self._host} refuses the account: {answer.status}, code {code or '-'}; check its state, credit and "
                "RATCHET_SMS__TWILIO__ACCOUNT_SID, __AUTH_TOKEN and __FROM"
            )
        return answer


def _code_of(answer: HttpAnswer) -> int | None:
    """Return Twilio's code of an error, where it gives one."""
    code = value_at(read_json(answer.body), "code")
    return code if _is_int(code) else None


def _refuses_account(status: int, code: int | None) -> bool:
    """Tell whether an answer is about our account and not about the one message. Pure."""
    if status < HTTPStatus.BAD_REQUEST:
        return False
    return code in _CODES_OF_THE_ACCOUNT or (status in _OF_THE_ACCOUNT and code not in _CODES_OF_MESSAGES)


def _taken(entry: Any) -> Taken | None:
    sid = text_at(entry, "sid")
    if sid is None or len(sid) > _SID_LENGTH_MAX:
        return None
    return Taken(sid, _ENDS.get(str(value_at(entry, "status")), SmsStatus.SENT))


def _is(entry: Any, message: SmsMessage) -> bool:
    """Tell whether a listed message is ours: its text ends with our mark, and it was not made before ours."""
    text = value_at(entry, "body")
    return isinstance(text, str) and text.rstrip().endswith(message.mark) and not _is_older(entry, message)


def _is_older(entry: Any, message: SmsMessage) -> bool:
    """Tell whether a listed message (dates are RFC 2822) was surely made before ours."""
    try:
        made = parsedate_to_datetime(str(value_at(entry, "date_created")))
    except ValueError:
        return False
    return made.replace(tzinfo=made.tzinfo or dt.UTC) < message.not_before


def _all_older(listed: list[Any], message: SmsMessage) -> bool:
    return bool(listed) and all(_is_older(entry, message) for entry in listed)


def _is_int(code: object) -> TypeGuard[int]:
    return isinstance(code, int) and not isinstance(code, bool)
