"""Every rule that the schema states refuses what it says: unique keys, foreign keys, checks, triggers and functions.

`schema.sql` shows that a rule changed; here stands what each is for. The list is whole: a rule that nobody wrote a case
for fails, and so does a case of a rule that is not there.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from filled_database import filled_database, undone

from ops.console.recall_orders import RecallStatus
from ops.people import PersonRole
from ops.redrive_preview import PreviewAnswer
from ops.redrives import Policy, RedriveStatus
from schemas.dead_letter import LetterStatus, Reason
from schemas.facts import CommandState, RefKind
from schemas.intents import Command
from schemas.payment import DisputeStatus, Outcome, RefundStatus, Status
from schemas.sms import SmsStatus
from tests.conftest import role_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.conftest import Database

pytestmark = pytest.mark.integration

P, Q = uuid.UUID(int=1), uuid.UUID(int=2)
ROWS = f"""
insert into payments (id, provider, account, provider_ref, status, refund_status, dispute_status, amount, authorized,
    captured, refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)
select id, 'p', '', 'r', 'created', 'none', 'none', 0, 0, 0, 0, 0, 1, '{{}}', '', 0, now(), now()
from unnest('{{{P},{Q}}}'::uuid[]) as id;
insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
values ('p', '', '', true, 'payment', 'r', '{P}');
insert into reference_payments (provider, account, livemode, kind, ref, payment_id)
values ('p', '', true, 'reference', 'o', '{P}');
insert into payment_logs (payment_id, source, event_id, event_type, outcome, version, facts, topic, partition, "offset",
    recorded_at, relay_xid, hash)
values ('{P}', 'p', 'e', 'k', 'applied', 1, '[]', 't', 0, 0, now(), 1, sha256(''));
insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, header_names, header_values, source,
    event_id, reason, message, relay_xid, created_at)
values ('t', 0, 0, sha256('1'), 1, '{{}}', '{{}}', 'p', 'd', 'orphan', '', 1, now()),
    ('t', 0, 1, sha256('2'), 1, '{{}}', '{{}}', 'p', 'f', 'orphan', '', 1, now());
insert into redrives (requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced, matched,
    selected)
values ('a', '{{}}', 1, 'keep_going', 0.5, 1, false, 1, 1), ('a', '{{}}', 1, 'keep_going', 0.5, 1, false, 1, 1);
insert into redrive_messages (redrive_id, dead_letter_id, would) values (1, 1, 'apply'), (2, 1, 'apply');
insert into discards (dead_letter_id, discarded_by, because) values (2, 'a', 'b');
insert into dead_letter_notes (reason, note, author, silent_until)
values ('orphan', 'n', 'a', now() + interval '1 day');
insert into dead_letter_notes (redrive_id, note, author, silent_until) values (1, 'n', 'a', now() + interval '1 day');
insert into erased_letters (topic, partition, "offset", digest) values ('t', 0, 0, sha256('1'));
insert into dlq_positions (partition, next_offset) values (0, 0);
insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
    timestamp_ms, header_names, header_values, parked_at, deadline)
values ('p', 'parked', 'k', 'orphan', '', '[]', 't', 0, 0, 0, '{{}}', '{{}}', now(), now());
insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)
values ('p', '', '', true, 'payment', 'r', 1);
insert into orphan_refs (provider, account, merchant_account, livemode, kind, ref, letter_id)
values ('p', '', '', true, 'payment', 'r', 1);
insert into wake_marks (provider, account, merchant_account, livemode, kind, ref)
values ('p', '', '', true, 'payment', 'r');
insert into consumer_marks values ('t', 0, 5, 0, null, now(), null, 50);
insert into consumer_ends (topic, partition, "offset", owner) values ('t', 0, 0, '{P}');
insert into consumer_offsets (topic, partition, next_offset) values ('t', 0, 0);
insert into leases (name, holder, token, expires_at) values ('l', 'h', 1, now());
insert into recalled_events (source, event_id, kind, occurred_at, history) values ('p', 'e', 'k', now(), false);
insert into recall_cursors (provider, account, list, began_at, read_until) values ('p', '', 'l', now(), now());
insert into recall_orders (provider, account, since, until, dry_run, requested_by, because)
values ('p', '', now() - interval '1 day', now(), false, 'a', '');
insert into refetches (provider, account, ref, reason) values ('p', '', 'r', 'stale');
insert into sms_transactions (payment_id, to_number, template, status)
values ('{P}', '+491511234567', 'captured', 'queued');
insert into debits (provider, account, ref, until) values ('p', '', 'd', now());
insert into body_claims (source, digest, event_id) values ('p', sha256(''), 'e');
insert into intent_claims (client, idempotency_key, fingerprint, command, payment_id, event_id, record_key, provider,
    account, provider_ref, currency, amount, expires_at, answer)
values ('c', '{P}', sha256(''), 'create', '{P}', 'e', 'k', 'p', '', 'r', 'EUR', 1, now() + interval '1 day', 'x');
insert into intent_claims (client, idempotency_key, fingerprint, command, payment_id, event_id, record_key, amount,
    expires_at, answer)
values ('c', '{Q}', sha256(''), 'refund', '{P}', 'f', 'k', 1, now() + interval '1 day', 'x');
insert into commands (payment_id, command_id, client, command, attempt_id, provider, account, merchant_account,
    livemode, currency, amount, seen, asked_at, expires_at, relay_xid)
values ('{P}', 'c', 'c', 'refund', '{P}', 'p', '', '', true, 'EUR', 1, 0, now(), now() + interval '1 day', 1);
insert into operators (name, role, password_hash, added_by)
values ('alice', 'viewer', repeat('x', 16), 'a'), ('bob', 'viewer', repeat('x', 16), 'a');
insert into operator_tokens (operator_id, role, digest, ends_at, made_by)
values (1, 'viewer', sha256(''), clock_timestamp() + interval '1 day', 'a');
insert into console_sessions (digest, person, address, operator_id) values (sha256('1'), 'alice', 'x', 1);
insert into console_sessions (digest, person, address, role) values (sha256('2'), 'carol', 'x', 'viewer');
insert into console_keys (signing_key, password_hash) values (sha256(''), repeat('x', 16));
insert into outcome_counts (seconds, began_at, provider, outcome, detail, events)
values (60, now(), 'p', 'applied', '', 1);
insert into ledger_anchors (payment_id, hash, version, rows_removed, relay_xid, ledger_id, facts)
values ('{P}', sha256(''), 1, 1, 1, 1, '');
insert into spool (topic, value, header_names, header_values) values ('t', '', '{{}}', '{{}}');
insert into operator_actions (who, origin, action, target, because) values ('a', 'b', 'c', 'd', 'e');
insert into topic_prefix (prefix) values ('x') on conflict do nothing;
"""
"""A row of each table, or two that are alike."""


def again(table: str, changes: str = "") -> str:
    """Return what inserts each row of a table again, as `changes` (jsonb) have it; ids are given anew."""
    return (
        f"insert into {table} overriding user value"
        f" select (jsonb_populate_record(null::{table}, to_jsonb(r) || '{changes or '{}'}'::jsonb)).* from {table} r"
    )


UNIQUE = {
    "payments_pkey": (again("payments"), "one row a payment"),
    "payment_refs_pkey": (again("payment_refs", '{"payment_id": null}'), "a name leads to one payment"),
    "reference_payments_pkey": (again("reference_payments", '{"promise": 1}'), "a payment stands under it once"),
    "payment_logs_claim": (again("payment_logs", '{"relay_xid": 9, "offset": 9}'), "one effect an event: the backstop"),
    "payment_logs_pkey": (
        (
            "insert into payment_logs overriding system value select (jsonb_populate_record(null::payment_logs,"
            " to_jsonb(l) || '{\"event_id\": \"other\"}')).* from payment_logs l"
        ),
        "the cursor's order has no ties",
    ),
    "dead_letters_place": (again("dead_letters", '{"event_id": "other"}'), "one letter a record"),
    "redrive_messages_pkey": (again("redrive_messages", '{"would": "noop"}'), "a letter is in an order once"),
    "redrive_messages_once": (
        (
            "update redrive_messages set status = 'published', claimed_at = now(), published_at = now()"
            " where redrive_id = 1; update redrive_messages set status = 'publishing', claimed_at = now()"
            " where redrive_id = 2"
        ),
        "two orders never take one letter, also after the first has published it",
    ),
    "discards_pkey": (again("discards"), "one gave a letter up"),
    "erased_letters_pkey": (again("erased_letters"), "one note a letter"),
    "dlq_positions_pkey": (again("dlq_positions"), "one place a partition"),
    "parked_events_claim": (again("parked_events", '{"offset": 9}'), "an event waits once"),
    "parked_refs_pkey": (again("parked_refs"), "an event waits once on a name"),
    "orphan_refs_pkey": (again("orphan_refs"), "a letter waits once on a name"),
    "wake_marks_pkey": (again("wake_marks"), "one mark a name"),
    "consumer_marks_pkey": (again("consumer_marks"), "one owner a partition"),
    "consumer_ends_pkey": (again("consumer_ends"), "an end counts once"),
    "consumer_offsets_pkey": (again("consumer_offsets"), "one place a partition"),
    "leases_pkey": (again("leases", '{"holder": "other", "token": 2}'), "one holder a lease"),
    "relay_cursors_pkey": (again("relay_cursors"), "one cursor a topic of the relay's"),
    "epochs_pkey": (again("epochs"), "an epoch begins once"),
    "recalled_events_pkey": (again("recalled_events"), "what two lists show is spooled once"),
    "recall_cursors_pkey": (again("recall_cursors"), "one cursor a list"),
    "recall_orders_open": (
        "update recall_orders set status = 'running', started_at = now(); "
        + again("recall_orders", '{"account": "b"}'),
        "one order of a provider is open, begun or not",
    ),
    "refetches_payment": (again("refetches", '{"reason": "hint"}'), "one row however often it is asked"),
    "sms_transactions_once": (again("sms_transactions"), "a customer gets it once"),
    "debits_pkey": (again("debits"), "a debit is watched once"),
    "body_claims_pkey": (again("body_claims", '{"event_id": "other"}'), "a body counts once, whatever its id"),
    "intent_claims_pkey": (
        "update intent_claims set command = 'capture', provider = null, account = null where command = 'create'; "
        + again("intent_claims"), "one answer an Idempotency-Key",
    ),
    "intent_claims_payment": (
        again("intent_claims", f'{{"idempotency_key": "{uuid.UUID(int=9)}", "provider_ref": "s"}}')
        + " where command = 'create'", "a payment is made once",
    ),
    "intent_claims_provider_ref": (
        again("intent_claims", f'{{"idempotency_key": "{uuid.UUID(int=9)}", "payment_id": "{Q}"}}')
        + " where command = 'create'", "a client asks for a provider's id once",
    ),
    "commands_payment_id_command_id_key": (again("commands"), "a command is carried out once"),
    "operators_name_key": ("update operators set name = 'x'", "a name is one person"),
    "operator_tokens_digest_key": (again("operator_tokens"), "a token opens for one person"),
    "console_sessions_pkey": (again("console_sessions"), "a cookie is one session"),
    "outcome_counts_pkey": (again("outcome_counts"), "one count a stretch"),
    "ledger_anchors_pkey": (again("ledger_anchors"), "a chain begins at one place"),
    "schema_migrations_pkey": (again("schema_migrations"), "a file is applied once"),
    **{
        f"{table}_pkey": (again(table), "the table has one row")
        for table in ("parking_clock", "outcome_cursors", "operator_action_heads", "anchor_without_payment",
                      "console_keys", "topic_prefix")
    },
}  # fmt: skip
"""What is refused, and why no second one may be."""
COUNTED = {
    "dead_letters_pkey", "redrives_pkey", "dead_letter_notes_pkey", "parked_events_pkey", "recall_orders_pkey",
    "refetches_pkey", "sms_transactions_pkey", "commands_pkey", "operators_pkey", "operator_tokens_pkey", "spool_pkey",
    "wake_marks_id_key", "operator_actions_pkey",
}  # fmt: skip
"""Ids that Postgres counts by itself, or the trigger: nobody gives one twice."""

CASCADE, REFUSED = "goes too", "refused"
PARENTS = {
    "console_sessions_operator_id_fkey": ("delete from operators where name = 'alice'", CASCADE,
        "select from console_sessions where person = 'alice'",
        "whoever is removed is signed out; a session of nobody would be that of the emergency password"),
    "operator_tokens_operator_id_fkey": ("delete from operators where name = 'alice'", CASCADE,
        "select from operator_tokens", "whoever is removed comes in by no token"),
    "parked_refs_parked_id_fkey": ("delete from parked_events", CASCADE, "select from parked_refs",
        "who waits no more is not found by its names"),
    "orphan_refs_letter_id_fkey": ("delete from redrive_messages; delete from dead_letters where id = 1", CASCADE,
        "select from orphan_refs", "a letter that retention took waits no more"),
    "parked_refs_name_fkey": ("delete from payment_refs", REFUSED, "", "a name on which somebody waits can be locked"),
    "payment_refs_payment_id_fkey": (
        f"update payment_refs set payment_id = '{uuid.UUID(int=9)}'; set constraints all immediate", REFUSED, "",
        "a name leads to a payment that is there"),
    "payments_intent_id_fkey": (f"update payments set intent_id = '{uuid.UUID(int=9)}'", REFUSED, "",
        "money of no row"),
    "payments_merged_into_fkey": (f"update payments set merged_into = '{uuid.UUID(int=9)}'", REFUSED, "", "as before"),
    "ledger_anchors_payment_id_fkey": (f"update ledger_anchors set payment_id = '{uuid.UUID(int=9)}'", REFUSED, "",
        "a chain of no payment"),
    "reference_payments_payment_id_fkey": (f"update reference_payments set payment_id = '{uuid.UUID(int=9)}'", REFUSED,
        "", "nobody stands under a reference"),
    "sms_transactions_payment_id_fkey": (f"update sms_transactions set payment_id = '{uuid.UUID(int=9)}'", REFUSED, "",
        "a message about no payment"),
    "discards_dead_letter_id_fkey": ("delete from dead_letters where id = 2", REFUSED, "",
        "who gave a letter up goes with it by the same statement, or not at all"),
    "redrive_messages_dead_letter_id_fkey": ("delete from dead_letters where id = 1", REFUSED, "",
        "a letter that an order has is not removed beneath it"),
    "redrive_messages_redrive_id_fkey": ("update redrive_messages set redrive_id = 9 where redrive_id = 2", REFUSED, "",
        "a letter of no order"),
    "dead_letter_notes_redrive_id_fkey": ("update dead_letter_notes set redrive_id = 9 where redrive_id is not null",
        REFUSED, "", "a note on no order"),
}  # fmt: skip

CHECKS: dict[str, tuple[str, ...]] = {
    "payments_check": ("merged_into = id",),
    "payments_check1": ("updated_at = created_at - interval '1 microsecond'",),
    "payments_check2": ("intent_id = id",),
    "payments_flagged_at_check": ("flagged_at = now()",),
    "commands_expire_after_they_were_asked": ("expires_at = asked_at",),
    "commands_of_money_have_an_amount": ("amount = null", "command = 'cancel'"),
    "commands_refusal_is_of_a_refused": ("refusal = 'x', state = 'done'", "refusal = 'x', state = null"),
    "console_sessions_check": ("used_at = began_at - interval '1 microsecond'",),
    "console_sessions_role": ("operator_id = 1, role = 'admin'",),
    "consumer_marks_check": ("probing_offset = start_offset - 1",),
    "consumer_marks_check1": ("start_offset = 50",),
    "dead_letter_notes_about": ("reason = null, redrive_id = null", "reason = 'orphan', redrive_id = 1"),
    "dead_letter_notes_check": ("silent_until = made_at",),
    "dead_letter_notes_ended": ("ended_by = 'a'", "ended_at = now()"),
    "dead_letter_notes_redrive": ("reason = null, redrive_id = 1, source = 'p'",
                                  "reason = null, redrive_id = 1, event_type = 'k'"),
    "dead_letters_headers_pair": ("header_names = '{a}'", "header_values = '{a}'"),
    "intent_claims_create_has_no_state": (
        "command = 'create', state = 'done', provider = 'p', account = '', currency = 'EUR', amount = 1",
    ),
    "intent_claims_create_is_whole": ("command = 'create', provider = null", "command = 'create', account = null",
        "command = 'create', provider = 'p', account = '', currency = null",
        "command = 'create', provider = 'p', account = '', currency = 'EUR', amount = null",
        "command = 'refund', provider = 'p', account = ''"),
    "intent_claims_lasts_a_day": ("expires_at = created_at + interval '23 hours'",),
    "intent_claims_refusal_is_of_a_refused": (
        "refusal = 'x', state = 'done', command = 'refund', provider = null, account = null",
        "refusal = 'x', state = null, command = 'refund', provider = null, account = null",
    ),
    "redrive_messages_claimed": ("status = 'publishing'", "claimed_at = now()",
                                 "status = 'published', published_at = now()"),
    "redrive_messages_published": ("status = 'published', claimed_at = now()", "published_at = now()"),
    "redrive_messages_skipped": ("status = 'skipped'",),
    "operator_action_heads_check": ("last_id = 1, hash = ''", "last_id = 0, hash = sha256('')"),
    "operator_tokens_check": ("ends_at = made_at",),
    "parked_events_check": ("deadline = parked_at - interval '1 microsecond'",),
    "parked_events_headers_pair": ("header_names = '{a}'",),
    "parking_clock_check": ("began_at = now()", "ended_at = now()"),
    "payment_logs_applied_has_version": ("version = null",),
    "payment_logs_version_needs_payment": ("payment_id = null",),
    "recall_cursors_span": ("since = now()", "until = now()", "page = 'x'"),
    "recall_orders_check": ("history = 1", "history = -1"),
    "recall_orders_ended": ("status = 'done'", "ended_at = now()", "status = 'stopped', stopped_by = 'a'"),
    "recall_orders_failed": ("status = 'failed', ended_at = now()",),
    "recall_orders_new": ("new = 1", "first_at = now()", "last_at = now()"),
    "recall_orders_page": ("page = 'x'",),
    "recall_orders_span": ("since = until", "since = until + interval '1 day'"),
    "recall_orders_started": ("started_at = now()",),
    "recall_orders_stopped": ("status = 'stopped', ended_at = now()",),
    "recalled_events_lost": ("lost_at = now()", "lost_at = now(), first_at = now(), history = true"),
    "redrives_check": ("selected = 0", "selected = 2"),
    "redrives_check1": ("published_before = 1", "published_before = -1"),
    "redrives_check2": ("failed_before = 1", "failed_before = -1"),
    "redrives_done_is_whole": ("status = 'done', ended_at = now()",),
    "redrives_ended": ("status = 'failed'", "ended_at = now()"),
    "redrives_started": ("published = 1",),
    "redrives_within_selection": ("published = 2, started_at = now()",
                                  "published = 1, skipped = 1, started_at = now()"),
    "reference_payments_group_is_promised": ("groups = true",),
    "reference_payments_promise_is_a_reference": ("promise = 1, kind = 'shared'",),
    "spool_headers_pair": ("header_names = '{a}'",),
}  # fmt: skip
"""Rules over several columns: what each row of its table may not be changed to."""


TEXTS: dict[tuple[int, int], str] = {
    (0, 64): "*.account outcome_counts.detail",
    (1, 64): "*.provider *.client *.list leases.name console_sessions.address dead_letter_notes.reason"
    " sms_transactions.provider_sid sms_transactions.template",
    (64, 64): "schema_migrations.checksum",
    (55, 55): "payment_logs.traceparent",
    (1, 128): "*.who *.origin *.requested_by *.stopped_by *.stop_requested_by *.made_by *.added_by *.author *.ended_by"
    " *.discarded_by *.person leases.holder",
    (1, 192): "*.source",
    (0, 192): "outcome_counts.provider",
    (1, 200): "epochs.because",
    (0, 249): "*.topic",
    (1, 249): "*.target_topic *.prefix",
    (0, 255): "*.merchant_account *.event_type *.refusal *.payment_ref *.kind commands.provider_ref commands.reason"
    " commands.reference commands.traceparent",
    (1, 255): "*.ref *.provider_ref *.reference *.record_key *.about *.query_id",
    (0, 400): "*.target *.child",
    (1, 400): "*.event_id *.command_id dead_letter_notes.source dead_letter_notes.event_type",
    (0, 500): "*.because *.last_error *.stop_reason redrive_messages.detail",
    (1, 500): "*.note recall_orders.error discards.because",
    (16, 512): "*.password_hash",
    (0, 1000): "*.message *.waits_for parked_events.detail",
    (0, 2000): "*.page",
}
"""The fewest and the most characters of a text; a rule with a table goes before one for all of them."""
BYTES: dict[tuple[int, ...], str] = {
    (32,): "*.digest *.hash *.mac *.fingerprint *.signing_key",
    (0, 32): "payments.head_hash",
}
LEAST: dict[int, str] = {
    0: "*.partition *.offset *.ledger_id *.next_offset *.version *.meaning *.attempts *.seen *.head_xid *.authorized"
    " *.captured *.refunded *.disputed *.start_offset *.unclean_ends *.redrive_count *.last_id *.ledger_xid"
    " *.letters_id *.letters_xid *.parked_id *.failures *.known *.new *.pages *.turns *.failed *.matched *.published"
    " *.skipped *.priority *.amount anchor_without_payment.rows_removed ledger_anchors.relay_xid",
    1: "*.relay_xid *.epoch *.timeline *.token *.rows_removed *.events *.delivery_count *.failures_min *.messages_max"
    " *.promise commands.amount intent_claims.amount payment_logs.version schema_migrations.version",
}
"""The least that a number may be."""
COMMANDS = [command.value for command in Command]
OUTCOMES = [outcome.value for outcome in Outcome]
ONE_OF: dict[str, Sequence[str]] = {
    "payments.status": [*Status], "payment_logs.from_status": [*Status], "payment_logs.to_status": [*Status],
    "payments.refund_status": [*RefundStatus], "payments.dispute_status": [*DisputeStatus],
    "payment_logs.outcome": OUTCOMES, "outcome_counts.outcome": [*OUTCOMES, "parked", "dead_letter", "refused"],
    "commands.command": [one for one in COMMANDS if one != "create"], "intent_claims.command": COMMANDS,
    "commands.state": [*CommandState], "intent_claims.state": [*CommandState],
    "dead_letters.reason": [*Reason], "dead_letters.status": [*LetterStatus],
    "parked_events.reason": [Reason.ORPHAN, Reason.CONFLICT],
    "payment_refs.kind": [kind for kind in RefKind if kind is not RefKind.SHARED],
    "reference_payments.kind": [RefKind.REFERENCE, RefKind.SHARED],
    "redrives.status": [*RedriveStatus], "redrives.policy": [*Policy], "redrive_messages.would": [*PreviewAnswer],
    "redrive_messages.status": ["queued", "publishing", "published", "skipped"],
    "recall_orders.status": [*RecallStatus],
    "refetches.status": ["queued", "done", "failed"], "refetches.reason": ["hint", "contradiction", "stale"],
    "sms_transactions.status": [*SmsStatus],
    "relay_cursors.name": ["changes", "dead_letters", "state", "commands"],
    "console_sessions.role": [*PersonRole], "operator_tokens.role": [*PersonRole], "operators.role": [*PersonRole],
}  # fmt: skip
"""What a text may be, as Python has it where it has a name for them."""
OTHERS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "*.currency": (["'EUR'"], ["'eur'", "'EURO'", "'EU'", "''", "E'EUR\\n'"]),
    "*.metadata": (["'{}'"], ["'[]'", "'1'", "'null'"]), "*.filter": (["'{}'"], ["'[]'"]),
    "*.kinds": (["'{}'"], ["'[]'"]),
    "payments.facts": (["'{}'"], ["'[]'", "'null'"]), "*.facts": (["'[]'"], ["'{}'", "'null'"]),
    "payments.phone": (["'+4915112345'"], ["'4915112345'", "'+0915112345'", "'+491511'", "'+4915112345678901'"]),
    "sms_transactions.to_number": (["'+4915112345'"], ["'4915112345'", "'+0915112345'", "'+491511'"]),
    "payments.flags": (["array['underpaid', 'paid_again']"], ["array['underpaid', 'other']"]),
    "operator_actions.action": (["'a.b_c'", "repeat('a', 64)"], ["'A'", "''", "repeat('a', 65)"]),
    "operators.name": (["'a@b.example'"], ["'A'", "''", "repeat('a', 64)", "'emergency'", "'unnamed'", "'unknown'"]),
    "outcome_counts.seconds": (["60", "600", "3600"], ["0", "61"]),
    "recall_orders.provider": (["'stripe'", "repeat('a', 64)"], ["''", "'Stripe'", "'a/b'", "repeat('a', 65)"]),
    "recall_orders.account": (["''", "'a.b-c_d'", "repeat('a', 64)"], ["'A'", "'.a'", "repeat('a', 65)"]),
    "redrives.failure_ratio_max": (["1", "0.001"], ["0", "1.001"]),
    "redrives.rate_per_second": (["0.001"], ["0", "-1"]),
    "spool.value": (["repeat('x', 2097152)::bytea"], ["repeat('x', 2097153)::bytea"]),
    "*.only_one": (["true"], ["false"]), "*.single": (["true"], ["false"]),
}  # fmt: skip
"""What is let in and what is not, where it is none of the kinds above."""


BESIDE = {
    "console_sessions.role": "operator_id = null",
    "dead_letter_notes.ended_by": "ended_at = now()",
    "intent_claims.state": "command = 'refund', provider = null, account = null",
    "recall_orders.page": "list = 'l'",
}
"""What else is changed, so that no rule over several columns refuses the row first."""
IMPLIED = {
    "recall_orders_new_check": "recall_orders_check",
    "redrives_failed_check": "redrives_check2",
    "redrives_matched_check": "redrives_check",
    "redrives_published_check": "redrives_check1",
}
"""Rules that follow from another, which refuses first."""


def cases() -> dict[str, tuple[list[str], list[str]]]:
    """Return by column what is let in and what is refused, as SQL."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for (least, most), names in TEXTS.items():
        below = [f"repeat('x', {least - 1})"] if least else []
        for name in names.split():
            found[name] = [f"repeat('x', {least})", f"repeat('x', {most})"], [*below, f"repeat('x', {most + 1})"]
    for lengths, names in BYTES.items():
        for name in names.split():
            let_in = [f"repeat('x', {one})::bytea" for one in lengths]
            found[name] = let_in, [f"repeat('x', {one})::bytea" for one in (0, 31, 33) if one not in lengths]
    for number, names in LEAST.items():
        found |= {name: ([str(number)], [str(number - 1)]) for name in names.split()}
    found |= {name: ([f"'{one}'" for one in values], ["'other'", "''"]) for name, values in ONE_OF.items()}
    return found | {name: (list(ours), list(others)) for name, (ours, others) in OTHERS.items()}


@pytest.fixture(scope="module")
async def filled(stack: Any, template_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give a superuser's connection to a database with a row of each table; what a test does is undone."""
    async with filled_database(stack, template_database, ROWS) as connection:
        yield connection


async def constraints(connection: Any, kind: str, more: str = "true") -> dict[str, str]:
    """Return the names of all constraints of a kind, each with its table."""
    rows = await connection.fetch(
        "select conname, conrelid::regclass::text as on_table from pg_constraint"
        f" where connamespace = 'public'::regnamespace and contype = '{kind}' and {more}"
    )
    return {row["conname"]: row["on_table"] for row in rows}


async def refusing(connection: asyncpg.Connection[Any], sql: str) -> str | None:
    """Return the rule by which a statement is refused, None where it is not."""
    async with undone(connection):
        try:
            await connection.execute(sql)
        except asyncpg.IntegrityConstraintViolationError as error:
            return error.constraint_name
    return None


async def test_there_is_no_second_one(filled: asyncpg.Connection[Any]) -> None:
    found = await filled.fetch(
        "select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid"
        " where i.indisunique and c.relnamespace = 'public'::regnamespace"
    )
    assert {row["relname"] for row in found} == UNIQUE.keys() | COUNTED
    refused = {name: await refusing(filled, sql) for name, (sql, _) in UNIQUE.items()}
    assert refused == {name: name for name in UNIQUE}


async def test_ids_are_given_by_postgres_alone(filled: asyncpg.Connection[Any]) -> None:
    sql = (
        "select table_name from information_schema.columns"
        " where table_schema = 'public' and is_identity = 'YES' and identity_generation = 'ALWAYS'"
    )
    counted = {row["table_name"] for row in await filled.fetch(sql)}
    wanted = {name.removesuffix("_pkey") for name in COUNTED} - {"wake_marks_id_key", "operator_actions"}
    assert counted == wanted | {"wake_marks", "payment_logs"}


async def test_what_hangs_on_a_row_goes_with_it_or_holds_it(filled: asyncpg.Connection[Any]) -> None:
    assert (await constraints(filled, "f")).keys() == PARENTS.keys()
    for name, (sql, fate, left, _) in PARENTS.items():
        if fate is REFUSED:
            assert await refusing(filled, sql) == name
            continue
        async with undone(filled):
            assert await filled.fetch(left), name
            await filled.execute(sql)
            assert not await filled.fetch(left), name


async def test_what_does_not_go_together_is_refused(filled: asyncpg.Connection[Any]) -> None:
    found = await constraints(filled, "c", "cardinality(conkey) > 1")
    assert found.keys() == CHECKS.keys()
    taken = [
        (name, change)
        for name, changes in CHECKS.items()
        for change in changes
        if await refusing(filled, f"update {found[name]} set {change}") != name
    ]
    assert taken == []


NULL_IS_NOTHING = {
    "consumer_marks_check": "nothing is probed",
    "consumer_marks_check1": "nothing is read with care",
    "payments_check": "it was merged into nothing",
    "payments_check2": "it is an attempt of nothing",
}
"""Rules over several columns that a null passes, and what it says there."""
SAMPLES = {
    "text": "'x'", "bigint": "1", "integer": "1", "smallint": "1", "boolean": "true", "uuid": f"'{P}'",
    "timestamp with time zone": "now()", "jsonb": "'{}'", "bytea": "''", "text[]": "'{}'", "bytea[]": "'{}'",
    "double precision": "1",
}  # fmt: skip


async def test_a_null_passes_no_rule_unseen(filled: asyncpg.Connection[Any]) -> None:
    """A check that is neither true nor false lets a row in: each is asked with and without what may be null."""
    rules = await filled.fetch(
        """select conname, pg_get_expr(conbin, conrelid) as rule,
            (select array_agg(array[quote_ident(attname), format_type(atttypid, null), (not attnotnull)::text])
                from pg_attribute where attrelid = conrelid and attnum = any(conkey)) as columns
        from pg_constraint
        where connamespace = 'public'::regnamespace and contype = 'c' and cardinality(conkey) > 1"""
    )
    passed = set[str]()
    for name, rule, columns in rules:
        values = [
            f"(select {SAMPLES[kind]}::{kind}{f' union all select null::{kind}' if may_be_null == 'true' else ''})"
            f" as c{place} ({column})"
            for place, (column, kind, may_be_null) in enumerate(columns)
        ]
        if await filled.fetchval(f"select bool_or(({rule}) is null) from {' cross join '.join(values)}"):
            passed.add(name)
    assert passed == NULL_IS_NOTHING.keys()


async def test_each_column_takes_what_it_is_for_and_nothing_else(filled: asyncpg.Connection[Any]) -> None:
    rules = await filled.fetch(
        "select c.conname, c.conrelid::regclass::text as on_table, a.attname from pg_constraint c"
        " join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]"
        " where c.contype = 'c' and cardinality(c.conkey) = 1 and c.connamespace = 'public'::regnamespace"
    )
    written, used, wrong = cases(), set[str](), []
    for rule, table, column in rules:
        name = f"{table}.{column}" if f"{table}.{column}" in written else f"*.{column}"
        used.add(name)
        ours, others = written.get(name, ([], []))
        if not (ours and others):
            wrong.append(f"{rule}: nobody wrote down what it is for")
        beside = f"{one}, " if (one := BESIDE.get(f"{table}.{column}")) else ""
        change = f'update {table} set {beside}"{column}" = '
        wrong += [f"{rule} refuses {one}" for one in ours if await refusing(filled, change + one) == rule]
        refuses = IMPLIED.get(rule, rule)
        wrong += [f"{rule} takes {one}" for one in others if await refusing(filled, change + one) != refuses]
    assert not wrong, "\n".join(wrong)
    assert used == written.keys()


SEARCH_PATHS = {
    "chain_operator_action": "search_path=pg_catalog, public, pg_temp",
    "redact_dead_letter": "search_path=pg_catalog, public, pg_temp",
    "hash_operator_action": "search_path=pg_catalog, pg_temp",
    "surviving_payment": None,
}
"""Each function's: one that runs with the owner's rights must not find what a caller put into its temporary schema.

Tables of surviving_payment are bound as it is made (`begin atomic`); with a path of its own no plan would take it in.
"""


async def test_functions_run_as_who_they_say_and_for_whom_they_say(filled: asyncpg.Connection[Any]) -> None:
    found = await filled.fetch(
        "select p.proname, p.prosecdef, p.proconfig, has_function_privilege('public', p.oid, 'execute') as everybody"
        " from pg_proc p where p.pronamespace = 'public'::regnamespace"
    )
    assert {row["proname"]: row["proconfig"] and row["proconfig"][0] for row in found} == SEARCH_PATHS
    assert {row["proname"] for row in found if row["prosecdef"]} == {"chain_operator_action", "redact_dead_letter"}
    assert {row["proname"] for row in found if row["everybody"]} == {"hash_operator_action"}, "it reads nothing"


async def test_an_action_is_what_the_trigger_makes_of_it(database: Database) -> None:
    """Whoever writes it names neither its number, nor its time, nor the role that wrote it."""
    owner, other = await asyncpg.connect(database.owner_dsn), await asyncpg.connect(database.dsn)
    try:
        sql = "insert into operator_actions (who, origin, action, target, because{}) values ('a', 'b', 'c', 'd', 'e'{})"
        named = sql.format(", id, acted_at, db_role, hash", ", 77, '2001-01-01Z', 'somebody', sha256('x')")
        await owner.execute(named)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await other.execute(named)
        await other.execute(sql.format("", ""))
        rows = await owner.fetch(
            "select *, clock_timestamp() - acted_at < interval '1 minute' as now from operator_actions order by id"
        )
        assert [(row["id"], row["db_role"], row["now"]) for row in rows] == [
            (1, role_of(database.owner_dsn), True), (2, role_of(database.dsn), True),
        ]  # fmt: skip
        hashes = await owner.fetch(
            "select hash = hash_operator_action(lag(hash, 1, '') over (order by id), a) as holds"
            " from operator_actions a"
        )
        assert [row["holds"] for row in hashes] == [True, True]
        assert await owner.fetchval("select hash from operator_action_heads") == rows[1]["hash"]
    finally:
        await owner.close()
        await other.close()


async def test_two_actions_at_once_are_one_after_the_other(database: Database) -> None:
    sql = "insert into operator_actions (who, origin, action, target, because) values ('a', 'b', 'c', 'd', 'e')"
    one, other = [await asyncpg.connect(database.dsn, server_settings={"lock_timeout": "300ms"}) for _ in range(2)]
    try:
        async with one.transaction():
            await one.execute(sql)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(sql)
        await other.execute(sql)
        assert [row["id"] for row in await one.fetch("select id from operator_actions order by id")] == [1, 2]
    finally:
        one.terminate()
        other.terminate()
