"""The headers of our records as JSON Schemas: a name is a property, its value the header's text.

CloudEvents 1.0 in Kafka's binary content mode, W3C Trace Context, and on `payments.dlq` the two families of headers by
which other tools know dead letters. Where a header's value is no text but bytes, the schema takes them in base64.
"""

from __future__ import annotations

from typing import Any, Final

from schemas import changes, commands
from schemas.dead_letter import (
    DIGEST_HEADER,
    ERRORS_PREFIX,
    MESSAGE_LENGTH_MAX,
    ORIGINAL_PREFIX,
    REASON_HEADER,
    TRUNCATED_HEADER,
    Reason,
)
from schemas.events import ALL as EVENTS
from schemas.record import RECALL_HEADER, REDRIVE_COUNT_HEADER, SPEC_VERSION, TRUST_HEADER
from schemas.traceparent import HEADER as TRACEPARENT_HEADER

Json = dict[str, Any]

_DIGITS: Final = "^[0-9]+$"
_TRACEPARENT: Final = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"


def _text(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description} | more


def _bytes(description: str, base64_length: int) -> Json:
    """Describe a binary value of a fixed size; `base64_length` counts the characters of its base64."""
    size: Json = {"minLength": base64_length, "maxLength": base64_length}
    return _text(f"{description}; shown here in base64", contentEncoding="base64", **size)


def _cloud_event(source: Json, kind: Json) -> Json:
    return {
        "ce_specversion": {"const": SPEC_VERSION},
        "ce_id": _text("Unique within ce_source: with it the key of idempotency", minLength=1),
        "ce_source": source,
        "ce_type": kind,
        "ce_time": _text(
            "When the ingress took it, or for a change when the ledger row was written", format="date-time"
        ),
        "content-type": _text("The media type of the value", minLength=1),
    }


_EVENT: Final = _cloud_event(
    _text("provider, provider/account, or intents/client", minLength=1),
    _text("The provider's own name of what happened, `unknown` where it gives none, or intent.<command>", minLength=1),
)
_FILTERS: Final[Json] = {
    "ce_status": _text("The payment's status when the record was sent, for filters", minLength=1),
    "ce_provider": _text("The payment's provider, for filters", minLength=1),
    "ce_livemode": {"enum": ["true", "false"], "description": "false: test money, for filters"},
}
_CHANGE: Final = _cloud_event({"const": changes.SOURCE}, {"const": changes.CHANGE_TYPE}) | _FILTERS
_STATE: Final = _cloud_event({"const": changes.SOURCE}, {"const": changes.STATE_TYPE}) | _FILTERS
_COMMAND: Final[Json] = {
    **_cloud_event({"const": commands.SOURCE}, {"enum": list(commands.TYPES)}),
    "ce_time": _text("When it was asked for", format="date-time"),
    "ce_expirytime": _text("Nobody begins it later", format="date-time"),
    "ce_provider": _FILTERS["ce_provider"],
    "ce_livemode": _FILTERS["ce_livemode"],
}
_TRACE: Final[Json] = {TRACEPARENT_HEADER: _text("W3C Trace Context of what caused the record", pattern=_TRACEPARENT)}
_TRUST: Final[Json] = {
    TRUST_HEADER: {
        "enum": ["verified", "hint"],
        "description": "hint: unsigned; moves nothing before the provider's API was read again",
    }
}
_REDRIVEN: Final[Json] = {REDRIVE_COUNT_HEADER: _text("How often the record came back from the DLQ", pattern=_DIGITS)}
_RECALLED: Final[Json] = {
    RECALL_HEADER: _text("The provider's list that the event was read from; a webhook has none", minLength=1)
}

_LETTER: Final[Json] = {
    f"{ERRORS_PREFIX}topic": _text("The topic that the record came from"),
    f"{ERRORS_PREFIX}partition": _text("Its partition", pattern=_DIGITS),
    f"{ERRORS_PREFIX}offset": _text("Its offset", pattern=_DIGITS),
    f"{ERRORS_PREFIX}group": _text("The consumer group that could not process it"),
    f"{ERRORS_PREFIX}delivery.count": _text("How often it was tried", pattern=_DIGITS),
    f"{ERRORS_PREFIX}message": _text("What is wrong, never the payload", maxLength=MESSAGE_LENGTH_MAX),
    f"{ORIGINAL_PREFIX}topic": _text("The topic that the record came from"),
    f"{ORIGINAL_PREFIX}partition": _bytes("Its partition, a big-endian int32", 8),
    f"{ORIGINAL_PREFIX}offset": _bytes("Its offset, a big-endian int64", 12),
    f"{ORIGINAL_PREFIX}timestamp": _bytes("Its timestamp in unix milliseconds, a big-endian int64", 12),
    REASON_HEADER: {"enum": [reason.value for reason in Reason], "description": "Why it could not be processed"},
    REDRIVE_COUNT_HEADER: _text("How often the record had come back from the DLQ", pattern=_DIGITS),
}

_LEFT_OUT: Final[Json] = {
    TRUNCATED_HEADER: _text("What was too large for the topic and is in the table alone: value, headers, key"),
    DIGEST_HEADER: _text(
        "Of such a letter: SHA-256 of key and value in hex, as the table has it", pattern="^[0-9a-f]{64}$"
    ),
}


def _headers(properties: Json, required: tuple[str, ...]) -> Json:
    return {"type": "object", "properties": properties, "required": sorted(required)}


def webhook() -> Json:
    """Return the headers of `payments.webhooks`."""
    return _headers(_EVENT | _TRUST | _RECALLED | _TRACE | _REDRIVEN, (*_EVENT, *_TRUST))


def intent() -> Json:
    """Return the headers of `payments.intents`.

    All but one may be absent from a direct publisher's record: the client is in the body, and without `ce_id` a create
    is known by its payment's id. Any other command needs it, which a schema of headers alone can't say: nothing else
    tells two equal refunds from one that was sent twice.
    """
    unique = "Unique a command, and the same in each of its copies: `capture`, `cancel` and `refund` need it"
    return _headers(_EVENT | {"ce_id": _text(unique, minLength=1)} | _TRUST | _TRACE | _REDRIVEN, ())


def event(kinds: tuple[str, ...] = tuple(EVENTS)) -> Json:
    """Return the headers of `payments.events`, of these types; those of CloudEvents beside them may be absent."""
    own = {
        "ce_id": _text("Unique within ce_source, and the same in each copy of the event", minLength=1),
        "ce_source": _text("The service as RATCHET_SOURCES has it, or service/account", minLength=1),
        "ce_type": {"enum": list(kinds), "description": "What happened; it says which shape the value has"},
        "ce_time": _text("When it happened: shown, and orders nothing", format="date-time"),
    }
    return _headers(_EVENT | own | _TRACE | _REDRIVEN, ("ce_id", "ce_source", "ce_type"))


def change() -> Json:
    """Return the headers of `payments.changes`."""
    return _headers(_CHANGE | _TRACE, tuple(_CHANGE))


def state() -> Json:
    """Return the headers of `payments.state`."""
    return _headers(_STATE, tuple(_STATE))


def command() -> Json:
    """Return the headers of `payments.commands`."""
    return _headers(_COMMAND | _TRACE, tuple(_COMMAND))


def dead_letter() -> Json:
    """Return the headers of `payments.dlq`: the original's stand before them, byte for byte, whatever they were."""
    return _headers(_LETTER | _LEFT_OUT, tuple(_LETTER))
