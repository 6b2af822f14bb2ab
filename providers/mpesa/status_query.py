"""M-Pesa's transaction status query: a receipt is asked about, and the answer comes by another callback.

Source: the Daraja portal, "Transaction Status" (August 2026). `POST /mpesa/transactionstatus/v1/query` is answered by a
`ConversationID`; a `Result` with that id comes to `ResultURL` later. What it names in `ReferenceData` is the `Occasion`
that the query gave it: what the receipt belongs to. Final statuses are Completed, Cancelled, Declined and Expired.

What a receipt belongs to only an unsigned callback says, so it must fit (`Tie`): a receipt is of all that the push
asked, from the payer's number, and the first of its kind; a reversal is no larger than its receipt.

A transaction whose money leaves the till (to a customer, to another business) is no payment and says nothing; where it
is a reversal, it takes the money of the receipt that it belongs to back. Parties are shown as "number - name": short
codes have 5 to 7 digits, phone numbers more. Safaricom's sample writes `DebitPartyName` for both parties.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any, Final

from msgspec.structs import replace

from providers.core.meaning import need_id, refs_of, undecodable
from providers.core.payments import attempt, captured, major_units, reversal, terms
from providers.core.reading import read_json, text_at, to_id, value_at
from providers.core.refetch import ApiRequest, Called, Credentials, Fetched, Query, bearer
from providers.mpesa.callbacks import all_named, is_code, named
from providers.mpesa.meaning import CURRENCY, SUCCESS
from schemas.facts import Meaning, RefKind, Tie

_RECEIPT: Final = re.compile(r"[A-Z0-9]{8,20}\Z")
_PARTY: Final = re.compile(r"\s*(?:[0-9]{5,7})(?![0-9])")
_SHOWN_NUMBER: Final = re.compile(r"\s*([0-9*]{9,15})(?![0-9*])")
_OUTGOING: Final = re.compile(r"revers|business payment|to customer|salary|promotion|business to", re.IGNORECASE)
_REVERSAL: Final = re.compile(r"revers", re.IGNORECASE)
_ENDED: Final = {"cancelled": "canceled", "canceled": "canceled", "declined": "failed", "expired": "expired"}
_TAKEN: Final = frozenset({"completed", "reversed"})
"""`Reversed` is not documented; people report it."""
_SHORT_CODE: Final = "4"

TRANSACTION: Final = Fetched("transaction", "")
"""What an answer to the query is; its reference is the receipt."""


def _request(ref: str, about: str | None, credentials: Credentials) -> ApiRequest | None:
    if not _RECEIPT.match(ref):
        return None
    query = {
        "Initiator": credentials.initiator,
        "SecurityCredential": credentials.initiator_credential,
        "CommandID": "TransactionStatusQuery",
        "TransactionID": ref,
        "PartyA": credentials.merchant,
        "IdentifierType": _SHORT_CODE,
        "ResultURL": credentials.answers_url,
        "QueueTimeOutURL": credentials.answers_url,
        "Remarks": "status",
        "Occasion": about or "",
    }
    headers = {**bearer(credentials.token), "Content-Type": "application/json"}
    url = f"{credentials.base_url}/mpesa/transactionstatus/v1/query"
    return ApiRequest("POST", url, headers, json.dumps(query).encode())


def _accepted(status: int, body: bytes) -> str | None:
    answer = read_json(body)
    taken = status == HTTPStatus.OK and text_at(answer, "ResponseCode") == SUCCESS
    return text_at(answer, "ConversationID") if taken else None


def _answered(body: bytes) -> Called | None:
    """Read a callback as the answer to a query; one that is not final, or no success, is asked about again."""
    result = value_at(read_json(body), "Result")
    query, code = text_at(result, "ConversationID"), text_at(result, "ResultCode")
    if query is None or code is None or not is_code(code):
        return None
    receipt, status = to_id(_parameter(result, "ReceiptNo")), _status(result)
    if code != SUCCESS:
        return Called(query, None, f"M-Pesa answers with the result code {code}")
    if receipt is None or status not in _TAKEN | _ENDED.keys():
        return Called(query, None, "M-Pesa has no outcome yet")
    return Called(query, Fetched(TRANSACTION.object, receipt))


def _parameters(result: Any) -> Any:
    return value_at(result, "ResultParameters", "ResultParameter")


def _parameter(result: Any, key: str) -> Any:
    return named(_parameters(result), "Key", key)


def _status(result: Any) -> str:
    status = _parameter(result, "TransactionStatus")
    return status.lower() if isinstance(status, str) else ""


def transaction_meaning(result: dict[str, Any]) -> Meaning:
    """Return what a transaction says: a payment, a reversal of one, or nothing."""
    receipt, status = need_id(_parameter(result, "ReceiptNo"), "ReceiptNo"), _status(result)
    about = to_id(named(value_at(result, "ReferenceData", "ReferenceItem"), "Key", "Occasion"))
    reason = _parameter(result, "ReasonType")
    if isinstance(reason, str) and _REVERSAL.search(reason):
        return _reversal_meaning(result, receipt, about) if status in _TAKEN else Meaning()
    if _leaves(result, reason):
        return Meaning()
    if status in _ENDED:
        key = about or receipt
        failed = attempt(receipt, _ENDED[status], payment=key)
        return Meaning(refs=refs_of((RefKind.PAYMENT, key)), facts=(failed,), opens=True, provider_ref=key)
    return _tied_payment(result, receipt, about)


def _leaves(result: Any, reason: Any) -> bool:
    """Tell whether the money leaves the till: a business is debited, or the reason says so."""
    debited = next(iter(all_named(_parameters(result), "Key", "DebitPartyName")), None)
    if isinstance(debited, str):
        return _PARTY.match(debited) is not None
    return isinstance(reason, str) and _OUTGOING.search(reason) is not None


def _amount(result: Any) -> int:
    return major_units(_parameter(result, "Amount"), CURRENCY, "Amount")


def _payment_meaning(result: dict[str, Any], receipt: str, key: str) -> Meaning:
    amount = _amount(result)
    undone = (reversal(receipt, receipt, amount),) if _status(result) == "reversed" else ()
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.CAPTURE, receipt)),
        facts=(terms(key, amount), captured(receipt, amount, authorization=key), *undone),
        opens=True,
        currency=CURRENCY,
        amount=amount,
        provider_ref=key,
    )


def _tied_payment(result: dict[str, Any], receipt: str, push: str | None) -> Meaning:
    """Return what a receipt says: it pays the push that a callback named if amount and payer fit, else for itself."""
    own = _payment_meaning(result, receipt, receipt)
    if push is None or push == receipt:
        return own
    tie = Tie(_amount(result), receipt, payer=_number(_parameter(result, "DebitPartyName")), otherwise=own)
    return replace(_payment_meaning(result, receipt, push), tie=tie)


def _reversal_meaning(result: dict[str, Any], own: str, receipt: str | None) -> Meaning:
    if receipt is None:
        raise undecodable("a reversal of which nothing tells what it reverses; find its original by hand")
    amount = _amount(result)
    credited = _parameter(result, "CreditPartyName") or all_named(_parameters(result), "Key", "DebitPartyName")[-1:]
    payer = _number(credited[0] if isinstance(credited, list) and credited else credited)
    return Meaning(
        refs=refs_of((RefKind.CAPTURE, receipt)),
        facts=(reversal(own, receipt, amount),),
        currency=CURRENCY,
        amount=amount,
        tie=Tie(amount, receipt, reversal=True, payer=payer),
    )


def _number(party: Any) -> str:
    """Return a party's number, as "254708374149 - John Doe" shows it, with `*` for what is hidden."""
    shown = _SHOWN_NUMBER.match(party) if isinstance(party, str) else None
    return shown[1] if shown else ""


QUERY: Final = Query(_request, _accepted, _answered, needs=("initiator", "initiator_credential", "answers_url"))
