"""`/admin/v1`: what people do in the console, for programs; through the same functions."""

from __future__ import annotations

from dataclasses import asdict, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.exceptions import HTTPException

from ops import letter_erasure, letter_notes, people, redrives, tokens
from ops.console import recall_orders, rights
from ops.console.bearer import route
from ops.console.choosing import FIELDS, choose, place, whole_number
from ops.console.openapi import describe
from ops.console.pages.notes import subject_of
from ops.console.pages.recall import recall_of
from ops.console.pages.redrives import check_typed, request_of
from ops.database import fetch
from ops.dlq_filters import LetterFilter, moment
from ops.documents import letter_document, plain, raw_document, redrive_document
from ops.operators import ActionFilter, list_actions, note_action, reason_of
from ops.payment_search import list_payments, read_filter, read_place
from ops.payment_timeline import FOUND_MAX, PaymentTimeline, page_document, timeline_document
from ops.redrives import PreviewAnswer
from ops.status import gather
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.routing import Route

    from ops.console.bearer import Call, Handler
    from ops.console.parts import Parts
    from ops.redrives import RedriveRequest
    from runtime.postgres import Connection

    Found = TypeVar("Found")


def routes(parts: Parts) -> list[Route]:
    """Return the routes of `/admin/v1`."""
    handlers: dict[tuple[str, str], Handler] = {
        ("GET", "/openapi.json"): describe_all,
        ("GET", "/status"): status,
        ("GET", "/payments"): payments,
        ("GET", "/payments/{ref}"): payment,
        ("GET", "/dead-letters"): letters,
        ("GET", "/dead-letters/{id}"): letter,
        ("POST", "/dead-letters/discard"): discard_all,
        ("POST", "/dead-letters/{id}/discard"): discard,
        ("POST", "/dead-letters/{id}/unmask"): unmask,
        ("POST", "/dead-letters/{id}/redact"): redact,
        ("GET", "/redrives"): all_redrives,
        ("POST", "/redrives"): start,
        ("POST", "/redrives/preview"): preview,
        ("GET", "/redrives/{id}"): one_redrive,
        ("POST", "/redrives/{id}/stop"): stop,
        ("POST", "/redrives/{id}/resume"): resume,
        ("GET", "/notes"): notes,
        ("POST", "/notes"): add_note,
        ("POST", "/notes/{id}/end"): end_note,
        ("GET", "/recalls"): recalls,
        ("POST", "/recalls"): start_recall,
        ("GET", "/recalls/{id}"): one_recall,
        ("POST", "/recalls/{id}/stop"): stop_one_recall,
        ("GET", "/actions"): actions,
        ("GET", "/operators"): operators,
        ("POST", "/operators/{name}/remove"): remove,
        ("GET", "/tokens"): all_tokens,
        ("POST", "/tokens/{id}/revoke"): revoke,
    }
    return [route(method, f"/admin/v1{path}", handler, parts) for (method, path), handler in handlers.items()]


async def describe_all(call: Call) -> Mapping[str, Any]:  # noqa: ARG001 - as every handler
    """Return the description of all this, as OpenAPI."""
    return describe(rights.ADMIN)


async def status(call: Call) -> Mapping[str, Any]:
    """Return roles, lag and counts, as `ratchet status --json`."""
    return (await gather(call.parts.settings)).document()


def _limit(call: Call) -> int:
    most = call.parts.settings.console.rows_max * 20
    return min(most, whole_number(call.written(), "limit") or call.parts.settings.console.rows_max)


async def payments(call: Call) -> Mapping[str, Any]:
    """Return a page of the payments that fit."""
    written = call.written("after", "limit")
    filters, after = read_filter(written), read_place(call.request.query_params.get("after"))
    found = await call.parts.reader.run(lambda connection: list_payments(connection, filters, _limit(call), after))
    return page_document(found)


async def payment(call: Call) -> Mapping[str, Any]:
    """Return the payments that go by a name, each with its timeline and its attempts."""
    reader, rows_max = call.parts.reader, call.parts.settings.ops.timeline_rows_max
    found = await reader.fetch("find_payments", call.request.path_params["ref"], FOUND_MAX, package="ops")
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    timelines = [
        PaymentTimeline(
            one,
            await reader.fetch("read_timeline", one["id"], rows_max, package="ops"),
            await reader.fetch("read_attempts", one["id"], FOUND_MAX, package="ops"),
        )
        for one in found
    ]
    return {"payments": [timeline_document(one) for one in timelines]}


def _chosen(source: Mapping[str, Any]) -> LetterFilter:
    chosen = choose({name: str(source[name]) for name in FIELDS if name in source})
    if chosen.problem:
        raise SettingsError(chosen.problem)
    return chosen.filters


async def letters(call: Call) -> Mapping[str, Any]:
    """Return a page of the dead letters that fit."""
    filters, before = _chosen(call.written()), place(call.request.query_params.get("before", ""))
    page = await call.parts.reader.run(
        lambda connection: redrives.list_letters(connection, filters, _limit(call), before)
    )
    return {"total": page.total, "dead_letters": [plain(row) for row in page.letters], "before": page.before}


async def letter(call: Call) -> Mapping[str, Any]:
    """Return one dead letter, masked."""
    rows = await call.parts.reader.fetch("read_letter", call.number("id"), package="ops")
    if not rows:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return letter_document(rows[0])


def _because(call: Call, what: str) -> str:
    return reason_of(str(call.body.get("because", "")), what)


async def discard(call: Call) -> Mapping[str, Any]:
    """Give one dead letter up."""
    letter_id, because, operator = call.number("id"), _because(call, "it is given up"), call.operator
    given_up = await call.parts.actions.run(
        lambda connection: redrives.discard(
            connection, LetterFilter(ids=(letter_id,)), who=operator.who, because=because, origin=operator.origin
        )
    )
    if not given_up.ids:
        raise RatchetError(f"dead letter {letter_id} is not open; nothing was done")
    return {"discarded": list(given_up.ids)}


async def discard_all(call: Call) -> Mapping[str, Any]:
    """Give up all open dead letters that fit; of a thousand and more only with their number in `typed`."""
    filters, because, operator = _chosen(call.body), _because(call, "they are given up"), call.operator

    async def write(connection: Connection) -> redrives.Discarded:
        check_typed(len(await redrives.choose(connection, filters)), str(call.body.get("typed", "")), "given up")
        return await redrives.discard(connection, filters, who=operator.who, because=because, origin=operator.origin)

    done = await call.parts.actions.run(write)
    return {"matched": done.matched, "discarded": list(done.ids), "left_out": [asdict(one) for one in done.left_out]}


async def unmask(call: Call) -> Mapping[str, Any]:
    """Return one dead letter's bytes, once it is written down who asks and why."""
    letter_id, because = call.number("id"), _because(call, "you need the payload in clear")

    async def look(connection: Connection) -> dict[str, Any]:
        rows = await fetch(connection, "read_letter", letter_id)
        if not rows:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        await note_action(connection, call.operator, "dead_letter.show_raw", f"dead letter {letter_id}", because)
        return rows[0]

    return raw_document(await call.parts.actions.run(look))


async def redact(call: Call) -> Mapping[str, Any]:
    """Replace one dead letter's payload by its digest, for good."""
    letter_id, because = call.number("id"), _because(call, "the payload is erased")
    done = await call.parts.actions.run(
        lambda connection: letter_erasure.redact(connection, letter_id, call.operator, because)
    )
    return asdict(done)


async def all_redrives(call: Call) -> Mapping[str, Any]:
    """Return the newest redrives."""
    found = await call.parts.reader.run(lambda connection: redrives.list_redrives(connection, _limit(call)))
    return {"redrives": [asdict(one) for one in found]}


async def one_redrive(call: Call) -> Mapping[str, Any]:
    """Return how far one redrive is."""
    redrive_id = call.number("id")
    return asdict(await call.parts.reader.find(lambda connection: redrives.progress(connection, redrive_id)))


def _wanted(call: Call) -> RedriveRequest:
    given = {name: "on" if value is True else str(value) for name, value in call.body.items() if value is not False}
    chosen = choose(given)
    if chosen.problem:
        raise SettingsError(chosen.problem)
    return replace(request_of(given, chosen, call.operator), only_applied=True, target_topic=given.get("to"))


async def preview(call: Call) -> Mapping[str, Any]:
    """Return what a redrive would do now; nothing is written."""
    wanted, settings = _wanted(call), call.parts.settings
    seen = await call.parts.actions.run(lambda connection: redrives.preview(connection, settings, wanted))
    return redrive_document(seen, None)


async def start(call: Call) -> Mapping[str, Any]:
    """Order a redrive of what would be applied; of a thousand and more only with their number in `typed`."""
    wanted, settings = _wanted(call), call.parts.settings

    async def write(connection: Connection) -> Mapping[str, Any]:
        seen = await redrives.preview(connection, settings, wanted)
        check_typed(seen.counts()[PreviewAnswer.APPLY], str(call.body.get("typed", "")))
        begun = await redrives.start(connection, settings, wanted, seen)
        return redrive_document(seen, None) | {"redrive": begun.redrive_id, "redrive_id": begun.redrive_id}

    return await call.parts.actions.run(write)


async def stop(call: Call) -> Mapping[str, Any]:
    """Ask the relay to end a redrive."""
    number, operator = call.number("id"), call.operator
    return asdict(
        await call.parts.actions.run(
            lambda connection: redrives.stop(connection, number, operator.who, operator.origin)
        )
    )


async def resume(call: Call) -> Mapping[str, Any]:
    """Let a redrive go on."""
    number, operator = call.number("id"), call.operator
    return asdict(
        await call.parts.actions.run(
            lambda connection: redrives.resume(connection, number, operator.who, operator.origin)
        )
    )


async def notes(call: Call) -> Mapping[str, Any]:
    """Return the notes that stand, and how many open dead letters each speaks of."""
    found = await call.parts.reader.run(lambda connection: letter_notes.list_notes(connection, _limit(call)))
    return {"notes": [asdict(one) for one in found]}


async def add_note(call: Call) -> Mapping[str, Any]:
    """Note what is known of a group of open dead letters, or of a redrive: its alert is silent until then."""
    given = {name: str(value) for name, value in call.body.items()}
    subject, until = subject_of(given), moment(given.get("until", "").strip() or None, "until")
    text = given.get("note", "")
    number = await call.parts.actions.run(
        lambda connection: letter_notes.add(connection, call.operator, subject, text, until)
    )
    return {"note": number}


async def end_note(call: Call) -> Mapping[str, Any]:
    """End a note before its time."""
    number = call.number("id")
    await call.parts.actions.run(lambda connection: letter_notes.end(connection, call.operator, number))
    return {"ended": number}


async def recalls(call: Call) -> Mapping[str, Any]:
    """Return the windows in which webhooks did not come, how far providers' lists were read, and what people asked.

    The newest windows and orders come first.
    """
    reader, limit = call.parts.reader, _limit(call)
    windows = await reader.fetch("list_lost_windows", limit)
    lists = await reader.fetch("list_recall_cursors", limit)
    orders = await reader.run(lambda connection: recall_orders.list_recalls(connection, limit))
    return {
        "windows": [plain(row) for row in windows],
        "lists": [plain(row) for row in lists],
        "orders": [one.document() for one in orders],
    }


async def start_recall(call: Call) -> Mapping[str, Any]:
    """Order the dispatcher to read a provider's list; with `dry_run` it only counts what it would bring."""
    written = {name: "on" if value is True else str(value) for name, value in call.body.items() if value is not False}
    order, open_max = recall_of(written), call.parts.settings.recall.orders_open_max
    number = await call.parts.actions.run(
        lambda connection: recall_orders.order_recall(connection, call.operator, order, open_max)
    )
    return {"recall": number}


async def one_recall(call: Call) -> Mapping[str, Any]:
    """Return how far the reading is and what it found."""
    number = call.number("id")
    found = await call.parts.reader.find(lambda connection: recall_orders.recall_progress(connection, number))
    return found.document()


async def stop_one_recall(call: Call) -> Mapping[str, Any]:
    """Have the dispatcher end it before its next page."""
    number = call.number("id")
    done = await call.parts.actions.run(lambda connection: recall_orders.stop_recall(connection, call.operator, number))
    return done.document()


async def actions(call: Call) -> Mapping[str, Any]:
    """Return what people did, the newest first."""
    written = call.written()
    filters = ActionFilter(
        who=written.get("who"),
        action=written.get("action"),
        since=moment(written.get("since"), "since"),
        until=moment(written.get("until"), "until"),
        before=place(written.get("before", "")),
    )
    found = await call.parts.reader.run(lambda connection: list_actions(connection, filters, _limit(call)))
    return {"actions": list(found.actions), "before": found.before}


async def operators(call: Call) -> Mapping[str, Any]:
    """Return everybody, with what they may do."""
    return {"operators": [asdict(one) for one in await call.parts.reader.run(people.list_people)]}


async def remove(call: Call) -> Mapping[str, Any]:
    """Remove a person, with sessions and tokens; oneself stays, so that somebody is left."""
    name, because = call.request.path_params["name"], _because(call, "they are removed")
    if name == call.operator.who:
        raise RatchetError("nobody removes themselves; ask another admin, or use `ratchet operator remove`")
    role = await call.parts.actions.run(lambda connection: people.remove(connection, call.operator, name, because))
    return {"removed": name, "role": role}


async def all_tokens(call: Call) -> Mapping[str, Any]:
    """Return the tokens of all people, without what they are."""
    return {"tokens": [asdict(one) for one in await call.parts.reader.run(tokens.list_tokens)]}


async def revoke(call: Call) -> Mapping[str, Any]:
    """Take a token back: it opens nothing any more."""
    number = call.number("id")
    name = await call.parts.actions.run(lambda connection: tokens.revoke(connection, call.operator, number))
    return {"revoked": number, "name": name}
