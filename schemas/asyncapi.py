"""The AsyncAPI 3.0 document of the Kafka topics: who writes, who reads, keys, headers, values; pure.

Kafka bindings: https://github.com/asyncapi/bindings/tree/master/kafka (0.5.0).
"""

from __future__ import annotations

from typing import Any, Final

from schemas import header_shapes, record_shapes, topics
from schemas.changes import Change, State
from schemas.commands import CommandRecord
from schemas.events import ALL as EVENTS
from schemas.intents import IntentRecord

Json = dict[str, Any]

VERSION: Final = "1.0.0"
"""Of the interface, not of the product: a breaking change raises the first number."""
BINDING_VERSION: Final = "0.5.0"
_SCHEMA: Final = "#/components/schemas/{model}"
_PAYMENT_KEY: Final = "The payment's reference as the event names it, so that a payment's events share a partition"
_CHANNELS: Final = {
    "webhooks": (
        topics.WEBHOOKS,
        "What providers say, verified at the ingress, in their own bytes; also what is read again at their APIs.",
    ),
    "intents": (topics.INTENTS, "What upstream services ask for; they may also publish here themselves."),
    "events": (
        topics.EVENTS,
        (
            "What upstream services of RATCHET_SOURCES tell of their own payments, which stand under the service's "
            "name. Order does not matter; an event that comes before its payment waits for it."
        ),
    ),
    "changes": (
        topics.CHANGES,
        (
            "A record for each ledger row that changed a payment, at least once, in order of its `version`: a reader "
            "keeps the highest (`epoch`, `version`) that it has seen and drops what is not above it. After a restore "
            "a greater epoch begins, in which versions count on from the copy's."
        ),
    ),
    "states": (
        topics.STATE,
        (
            "How each payment stands, compacted: the newest record of a key is kept for ever. A reader that begins "
            "reads it to its end and then the changes, and keeps the highest (`epoch`, `version`) of each payment."
        ),
    ),
    "commands": (
        topics.COMMANDS,
        (
            "Commands of clients that were checked, in order a payment, at least once. An executor carries each out at "
            "the provider with its `id` as the idempotency key, begins none after `expires_at`, and answers on the "
            "channel `events`."
        ),
    ),
    "deadLetters": (topics.DLQ, "Records that could not be processed, byte for byte, and after their headers ours."),
}
_OPERATIONS: Final = {
    "publishWebhook": ("send", "webhooks", "The ingress publishes each event of a verified webhook.", "ingress"),
    "redriveWebhook": ("send", "webhooks", "The relay publishes spooled events and redriven letters.", "relay"),
    "processWebhook": ("receive", "webhooks", "The consumer processes it in the ledger.", "consumer"),
    "publishIntent": ("send", "intents", "The relay publishes what the API accepted, and redriven letters.", "relay"),
    "processIntent": ("receive", "intents", "The consumer processes it in the ledger.", "consumer"),
    "sendIntent": ("send", "intents", "A service publishes a command itself, past the API.", "upstream"),
    "sendEvent": ("send", "events", "A service tells what happened to a payment of its own.", "upstream"),
    "redriveEvent": ("send", "events", "The relay publishes redriven letters.", "relay"),
    "processEvent": ("receive", "events", "The consumer processes it in the ledger.", "consumer"),
    "publishChange": ("send", "changes", "The relay publishes a payment's change.", "relay"),
    "publishState": ("send", "states", "The relay publishes how a payment stands at its newest version.", "relay"),
    "publishCommand": ("send", "commands", "The relay publishes a command that has room for its money.", "relay"),
    "executeCommand": (
        "receive",
        "commands",
        "An executor carries it out at the provider, and answers with command.accepted, .done or .refused.",
        "upstream",
    ),
    "publishDeadLetter": ("send", "deadLetters", "The relay publishes a record that could not be processed.", "relay"),
    "rebuildDeadLetter": ("receive", "deadLetters", "`ratchet dlq rebuild` reads the topic into the table.", "ops"),
}
"""Operation: its action as AsyncAPI has it, its channel, what happens, the role that does it or `upstream`."""


def document() -> Json:
    """Return the document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ratchet topics",
            "version": VERSION,
            "description": (
                "Payment events in, payment changes out. Amounts are minor units of their currency. Topics and group "
                "are named as they are by default: RATCHET_KAFKA__TOPIC_PREFIX replaces the "
                f"`{topics.DEFAULT_PREFIX}` with which each topic begins, and RATCHET_KAFKA__GROUP names the group."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The cluster that RATCHET_KAFKA__BOOTSTRAP names",
                "variables": {"bootstrap": {"default": "localhost:9092", "description": "host:port of a broker"}},
            }
        },
        "channels": {name: _channel(name, *found) for name, found in _CHANNELS.items()},
        "operations": {name: _operation(*found) for name, found in _OPERATIONS.items()},
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(name: str, topic: topics.Topic, description: str) -> Json:
    return {
        "address": topic.name,
        "description": description,
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in _MESSAGES[name]},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": topic.record_bytes_max,
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def _operation(action: str, channel: str, summary: str, role: str) -> Json:
    operation: Json = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "tags": [{"name": role}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{one}"} for one in _MESSAGES[channel]],
    }
    if role == "consumer":
        group: Json = {"type": "string", "const": topics.CONSUMER_GROUP}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING_VERSION}}
    return operation


_MESSAGES: Final[dict[str, tuple[str, ...]]] = {
    "webhooks": ("Webhook",),
    "intents": ("Intent",),
    "events": tuple(EVENTS),
    "changes": ("Change",),
    "states": ("State",),
    "commands": ("Command",),
    "deadLetters": ("DeadLetter",),
}
"""The messages of each channel: of events one a type."""


def _messages() -> Json:
    return {
        "Webhook": _message(
            "A provider's event",
            "The value is the provider's own bytes (of a multi-item body the item's own slice), most often JSON; "
            "`content-type` is the sender's.",
            headers="WebhookHeaders",
            key=_PAYMENT_KEY + "; without one the event's id",
        ),
        "Intent": _message(
            "A client's command",
            "A record that does not fit the schema, its command's body included, becomes a dead letter `undecodable` "
            "that says what to mend, whoever published it; so does a `capture`, `cancel` or `refund` without `ce_id`. "
            "A command that comes before its create waits for it.",
            headers="IntentHeaders",
            key=_PAYMENT_KEY,
            payload=IntentRecord.__name__,
        ),
        **{kind: _event(kind) for kind in EVENTS},
        "Change": _message(
            "A payment changed",
            "`ce_id` is `payment_id/version` and the same at every delivery.",
            headers="ChangeHeaders",
            key="The payment's id",
            payload=Change.__name__,
        ),
        "State": _message(
            "How a payment stands",
            "A payment that turned out to be another one stays, with `merged_into`. No record is ever a tombstone.",
            headers="StateHeaders",
            key="The payment's id",
            payload=State.__name__,
        ),
        "Command": _message(
            "A command to carry out",
            "`ce_id` is the command's id and the same at every delivery, of which there may be several.",
            headers="CommandHeaders",
            key="The payment's id",
            payload=CommandRecord.__name__,
        ),
        "DeadLetter": _message(
            "A record that could not be processed",
            "Key, value, timestamp and headers are the original's. Headers `__dlq.errors.*` are those of KIP-1191, "
            "`kafka_dlt-original-*` those of Spring for Apache Kafka.",
            headers="DeadLetterHeaders",
            key="The original's key, absent where it had none",
        ),
    }


def _event(kind: str) -> Json:
    """Describe one type of the vocabulary; a record that does not fit becomes a dead letter that says what to mend."""
    shape = EVENTS[kind]
    message = _message(kind, shape.__doc__ or "", headers="EventHeaders", key=_PAYMENT_KEY, payload=shape.__name__)
    headers = {"allOf": [message["headers"], {"properties": {"ce_type": {"const": kind}}}]}
    return message | {"name": kind, "headers": headers}


def _message(title: str, description: str, *, headers: str, key: str, payload: str | None = None) -> Json:
    message: Json = {
        "title": title,
        "description": description,
        "headers": {"$ref": _SCHEMA.format(model=headers)},
        "payload": {"$ref": _SCHEMA.format(model=payload)} if payload else {"description": "Bytes of any kind"},
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": BINDING_VERSION}},
    }
    if payload:
        message["contentType"] = "application/json"
    return message


def _schemas() -> Json:
    return record_shapes.definitions(_SCHEMA) | {
        "WebhookHeaders": header_shapes.webhook(),
        "IntentHeaders": header_shapes.intent(),
        "EventHeaders": header_shapes.event(),
        "ChangeHeaders": header_shapes.change(),
        "StateHeaders": header_shapes.state(),
        "CommandHeaders": header_shapes.command(),
        "DeadLetterHeaders": header_shapes.dead_letter(),
    }
