"""The sums of a payment's children rule by rule: each with what lies beside it, and none by the short way."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.children import Children
from consumer.fold import full_row, newer
from providers.core.payments import (
    adjusted,
    attempt,
    authorized,
    capture_pending,
    captured,
    captured_in_all,
    dispute,
    ended,
    mode,
    order_ended,
    refund,
    refunded_in_all,
    reversal,
    terms,
    void,
)
from schemas.facts import INTENT, Fact, FactKind
from schemas.payment import Flag, RefundStatus, Status

pytestmark = pytest.mark.unit


def children(*facts: Fact) -> Children:
    return Children(newer({}, facts))


def wanted(amount: int) -> Fact:
    """Say what the client's intent asks for."""
    return Fact(FactKind.TERMS, INTENT, "asked", amount)


def failed(key: str, amount: int | None, capture: str, version: int = 0) -> Fact:
    return Fact(FactKind.REVERSAL, key, "failed", amount, capture, version)


SUMS: dict[str, tuple[tuple[Fact, ...], dict[str, Any]]] = {
    # what was asked for
    "each payment is taken whole by its own terms": (
        (terms("a", 300), terms("b", 700), *(captured(one, None, authorization=one) for one in "ab")),
        {"captured": 1000, "total": 700},
    ),
    "and so beside an intent": (
        (wanted(1000), terms("a", 300), terms("b", 700), *(captured(one, None, authorization=one) for one in "ab")),
        {"captured": 1000},
    ),
    "whole is what the client asked for, where the payment tells nothing": (
        (wanted(500), terms("x", 900), captured("p", None, authorization="p")),
        {"captured": 500},
    ),
    "whole is the provider's total, where nobody else tells": (
        (terms("x", 900), captured("p", None, authorization="p")),
        {"captured": 900},
    ),
    "an order of 0 asks for nothing, whatever is held": (
        (terms("a", 0), authorized("a", 10)),
        {"asked": 0, "authorized": 10},
    ),
    "the provider's total is the largest of its objects'": (
        (terms("a", 300), terms("b", 0)),
        {"total": 300, "asked": 300},
    ),
    "a total of 0 is one": ((terms("a", 0), captured("c", None, authorization="z")), {"total": 0, "captured": 0}),
    "and so is one that tells no figure": (
        (Fact(FactKind.TERMS, "a", "asked", None),),
        {"total": 0, "asked": 0},
    ),
    "where nothing tells there is none": ((captured("c", 5),), {"total": None, "intent_amount": None}),
    "nor where the client alone tells": ((wanted(5),), {"total": None, "intent_amount": 5}),
    "what nobody tells is nothing": (
        (captured("c", None),),
        {"captured": 0, "captured_ever": 0, "authorized": 0, "takes_unknown": True},
    ),
    "and comes undone all the same": (
        (captured("c", None), reversal("r", "c", None)),
        {"captured": 0, "captured_ever": 0, "undone": True, "takes_unknown": False},
    ),
    "shown is what was asked, whatever the tries asked": (
        (wanted(5), attempt("t", "created", amount=9)),
        {"amount": 5},
    ),
    "before that the most that a try asked": (
        (attempt("t", "created", amount=9), attempt("u", "created", amount=7), attempt("v", "created")),
        {"amount": 9},
    ),
    "a try that tells no figure asks for nothing": ((attempt("t", "created"),), {"amount": 0}),
    "and so does no try": ((), {"amount": 0}),
    # where the client and the provider differ
    "the same is no difference": ((wanted(5), terms("a", 5)), {"amount_differs": False}),
    "more is one": ((wanted(5), terms("a", 6)), {"amount_differs": True}),
    "less is one": ((wanted(5), terms("a", 4)), {"amount_differs": True}),
    "parts that come to it are none": ((wanted(5), terms("a", 4), terms("b", 1)), {"amount_differs": False}),
    "and a part that tells no figure adds nothing": (
        (wanted(5), terms("a", 4), Fact(FactKind.TERMS, "b", "asked", None)),
        {"amount_differs": True},
    ),
    "nor takes anything": (
        (wanted(5), terms("a", 5), Fact(FactKind.TERMS, "b", "asked", None)),
        {"amount_differs": False},
    ),
    "parts of more are none, each is less": ((wanted(5), terms("a", 4), terms("b", 4)), {"amount_differs": False}),
    "what the client alone asked differs from nothing": ((wanted(5),), {"amount_differs": False}),
    "nor what the provider alone tells": ((terms("a", 5),), {"amount_differs": False}),
    # what is held
    "an adjustment of a hold that is not known holds nothing": (
        (authorized("a", 100), adjusted("x", "unknown", 500)),
        {"authorized": 100, "live": 100},
    ),
    "a hold that took another's place is adjusted too": (
        (authorized("a", 100), authorized("b", 200, replaces="a", version=1), adjusted("x", "b", 150, version=2)),
        {"authorized": 150},
    ),
    "of two that take a place the later stands": (
        (
            authorized("b", 200, replaces="a", version=2),
            authorized("c", 300, replaces="a", version=3),
            capture_pending("p", 200, authorization="b"),
        ),
        {"authorized": 300},
    ),
    "but one that was captured keeps it": (
        (
            authorized("b", 200, replaces="a", version=2),
            authorized("c", 300, replaces="a", version=3),
            captured("p", 200, authorization="b"),
        ),
        {"authorized": 200, "captured": 200},
    ),
    "what was captured of a hold before it was replaced stays in the sum": (
        (authorized("a", 100), captured("c", 100, authorization="a"), authorized("b", 120, replaces="a", version=1)),
        {"authorized": 220, "captured": 100},
    ),
    "what was released is shown where nothing else is": (
        (authorized("a", 100), void("a", "canceled")),
        {"authorized": 100, "live": 0},
    ),
    "and in no sum where something is": (
        (authorized("a", 100), void("a", "canceled"), authorized("b", 50)),
        {"authorized": 50, "live": 50},
    ),
    "what was taken of no hold by name uses up what is live": (
        (authorized("a", 100), captured("c", 60)),
        {"live": 40, "captured": 60},
    ),
    "an order of parts that was given up releases them": (
        (authorized("a", 200), order_ended("o", 500)),
        {"live": 0, "authorized": 200},
    ),
    "but not where they come to all of it": (
        (authorized("a", 500), order_ended("o", 500)),
        {"live": 500},
    ),
    "an order of nothing releases nothing": ((authorized("a", 0), order_ended("o", 0)), {"is_live": True}),
    "a hold of 0 holds nothing": ((authorized("a", 0),), {"authorized": 0, "live": 0, "is_live": True}),
    "until it is voided": ((authorized("a", 0), void("a", "canceled")), {"is_live": False, "contradicts": False}),
    "or taken": ((authorized("a", 0), captured("c", 0, authorization="a")), {"is_live": False}),
    "one that was lowered to 0 too": (
        (authorized("a", 100), adjusted("x", "a", 0, version=1)),
        {"authorized": 0, "live": 0, "contradicts": False},
    ),
    "what is used up is no more live": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 60, authorization="a")),
        {"live": 100, "authorized": 200},
    ),
    "and no less than nothing is": ((authorized("a", 100), captured("c", 150)), {"live": 0}),
    # what was taken
    "no more comes undone than was taken": (
        (captured("c", 100), captured("d", 50), reversal("r", "c", 80), reversal("s", "c", 80)),
        {"captured": 50, "captured_ever": 150},
    ),
    "reversals in parts add up": (
        (captured("c", 100), reversal("r", "c", 30), reversal("s", "c", 40)),
        {"captured": 30},
    ),
    "a capture made anew takes no other reversal back": (
        (captured("c", 100, version=3), failed("r", 100, "c", version=2)),
        {"captured": 0},
    ),
    "one under its own key it does": (
        (captured("c", 100, version=3), Fact(FactKind.REVERSAL, "c", "failed", 100, None, 2)),
        {"captured": 100},
    ),
    "a failure of the same version is of that capture": (
        (captured("c", 100, version=2), Fact(FactKind.REVERSAL, "c", "failed", 100, None, 2)),
        {"captured": 0},
    ),
    "the rest is that of its own hold": (
        (wanted(1000), captured("c", None, authorization="a"), captured("d", 300, authorization="b")),
        {"captured": 1300},
    ),
    "the rest is less what its siblings took": (
        (wanted(1000), captured("c", None, authorization="a"), captured("d", 300, authorization="a")),
        {"captured": 1000},
    ),
    "what is on its way is none of it": (
        (wanted(1000), captured("c", None, authorization="a"), capture_pending("d", 300, authorization="a")),
        {"captured": 1000},
    ),
    "siblings of more leave no rest": (
        (wanted(1000), captured("c", None, authorization="a"), captured("d", 1300, authorization="a")),
        {"captured": 1300, "captured_ever": 1300},
    ),
    "totals of several payments add up": (
        (captured_in_all("p", 500), captured_in_all("q", 300)),
        {"captured": 800, "captured_ever": 800},
    ),
    "a total counts the captures of its payment's holds": (
        (authorized("a", 100, attempt="p"), captured("c", 60, authorization="a"), captured_in_all("p", 100)),
        {"captured": 100},
    ),
    "and not those of another total's": (
        (captured("c", 60, authorization="q"), captured_in_all("p", 100), captured_in_all("q", 60)),
        {"captured": 160},
    ),
    "what came undone of a payment is taken off once": (
        (captured("c", 100, authorization="p"), captured_in_all("p", 200), reversal("r", "p", 150)),
        {"captured": 50, "captured_ever": 200},
    ),
    "a payment's return takes nothing off what names no payment": (
        (captured("c", 100), reversal("r", "q", 50)),
        {"captured": 100},
    ),
    "a total that is whole without a figure": (
        (terms("p", 900), captured_in_all("p", None)),
        {"captured": 900},
    ),
    "a total of the least": ((captured_in_all("p", 1),), {"captured": 1}),
    "a total counts no capture of another payment's hold": (
        (authorized("a", 60, attempt="q"), captured("c", 60, authorization="a"), captured_in_all("p", 100)),
        {"captured": 160},
    ),
    "but one that names a hold that is not known": (
        (captured("c", 60, authorization="z"), captured_in_all("p", 100)),
        {"captured": 100},
    ),
    "a total that its captures come to leaves another hold to its mode": (
        (
            *(authorized("a", 100, attempt="p"), captured("c", 60, authorization="a"), captured_in_all("p", 60)),
            *(authorized("b", 50), mode("b", "automatic")),
        ),
        {"captured": 110},
    ),
    # what a provider takes at once
    "a total says what was taken, whatever the mode": (
        (authorized("a", 100, attempt="p"), mode("a", "automatic"), captured_in_all("p", 60)),
        {"captured": 60},
    ),
    "and so does a capture that names no hold": (
        (authorized("a", 100), mode("a", "automatic"), captured("c", 60)),
        {"captured": 60, "captured_ever": 60},
    ),
    "and one that names it": (
        (authorized("a", 100), mode("a", "automatic"), captured("c", 60, authorization="a")),
        {"captured": 60, "captured_ever": 60},
    ),
    "a hold that was voided was never taken": (
        (authorized("a", 100), mode("a", "automatic"), void("a", "canceled")),
        {"captured": 0, "captured_ever": 0},
    ),
    "what is the account's to say is taken where the intent says so": (
        (authorized("a", 100), mode("a", "account"), mode(INTENT, "automatic")),
        {"captured": 100},
    ),
    "and else is not": ((authorized("a", 100), mode("a", "account"), mode(INTENT, "manual")), {"captured": 0}),
    "what is taken by hand is not, whatever the intent says": (
        (authorized("a", 100), mode("a", "manual"), mode(INTENT, "automatic")),
        {"captured": 0},
    ),
    "a hold without a mode is not": (
        (authorized("a", 100), authorized("b", 50), mode("b", "automatic"), mode(INTENT, "automatic")),
        {"captured": 50},
    ),
    "what is taken at once may fail in part": (
        (authorized("a", 100), mode("a", "automatic"), reversal("r", "a", 30)),
        {"captured": 70, "captured_ever": 100},
    ),
    "a part that was given back shows that all was taken": (
        (authorized("a", 100), mode("a", "account"), refund("r", "either", 30, payment="a")),
        {"captured": 100, "refunded": 30},
    ),
    "all that was given back does not": (
        (authorized("a", 100), mode("a", "account"), refund("r", "either", 100, payment="a")),
        {"captured": 0, "refunded": 0, "has_cancels": True},
    ),
    "nor a part of another hold": (
        (
            *(authorized(one, 100) for one in "ab"),
            *(mode(one, "account") for one in "ab"),
            refund("r", "either", 30, payment="b"),
        ),
        {"captured": 100},
    ),
    "what was taken at once of an order that was given up is given back": (
        (authorized("a", 200), mode("a", "automatic"), order_ended("o", 500)),
        {"captured": 200},
    ),
    "what the account may take by hand was only held, and is released": (
        (authorized("a", 200), mode("a", "account"), mode(INTENT, "automatic"), order_ended("o", 500)),
        {"captured": 0, "live": 0},
    ),
    "but not where the hold itself was voided": (
        (authorized("a", 200), mode("a", "automatic"), order_ended("o", 500), void("a", "canceled")),
        {"captured": 0},
    ),
    "or as a whole": (
        (authorized("a", 100), mode("a", "automatic"), reversal("r", "a", 100)),
        {"captured": 0, "captured_ever": 100},
    ),
    "and no more than that": (
        (authorized("a", 100), mode("a", "automatic"), reversal("r", "a", 130)),
        {"captured": 0, "captured_ever": 100},
    ),
    "the least part that was given back shows it too": (
        (authorized("a", 100), mode("a", "account"), refund("r", "either", 1, payment="a")),
        {"captured": 100},
    ),
    "but nothing given back does not": (
        (authorized("a", 100), mode("a", "account"), refund("r", "either", 0, payment="a")),
        {"captured": 0},
    ),
    "nor one of nobody knows how much": (
        (authorized("a", 100), mode("a", "account"), refund("r", "either", None, payment="a")),
        {"captured": 0},
    ),
    "nor a part that is no cancel-or-refund": (
        (authorized("a", 100), mode("a", "account"), refund("r", "pending", 30, payment="a")),
        {"captured": 0},
    ),
    "the least that came undone": ((captured("c", 1), reversal("r", "c", 1)), {"undone": True}),
    # what tries proved that came undone
    "of tries that came undone the largest is shown": (
        (captured("c", 100), captured("d", 80), reversal("r", "c", 100), reversal("s", "d", 80)),
        {"authorized": 100, "captured": 0, "undone": True},
    ),
    "what came undone in part proves what it was": (
        (captured("c", 100), reversal("r", "c", 40)),
        {"authorized": 100, "captured": 60, "undone": False},
    ),
    # what was given back
    "a cancel-or-refund of what was taken of no hold by name is a refund": (
        (authorized("a", 100), captured("c", 100), refund("r", "either", 100, payment="a")),
        {"refunded": 100, "has_cancels": False},
    ),
    "so is one of a hold that is not known, where anything was taken": (
        (captured("c", 100, authorization="a"), refund("r", "either", 100, payment="z")),
        {"refunded": 100, "has_cancels": False},
    ),
    "of what was taken and came undone it is a refund too": (
        (
            authorized("a", 100),
            captured("c", 100, authorization="a"),
            reversal("r", "c", 100),
            refund("r", "either", 100, payment="a"),
        ),
        {"refunded": 100, "has_cancels": False},
    ),
    "of what nobody took it is a cancel, and the hold is free": (
        (authorized("a", 100), refund("r", "either", 100, payment="a")),
        {"refunded": 0, "has_cancels": True, "live": 0, "is_closed": True},
    ),
    "a sum of refunds counts those that name no payment": (
        (captured("c", 500), refund("r", "succeeded", 30), refunded_in_all("p", 100)),
        {"refunded": 100},
    ),
    "and not those of another payment": (
        (captured("c", 500), refund("r", "succeeded", 30, payment="q"), refunded_in_all("p", 100)),
        {"refunded": 130},
    ),
    "and takes nothing off what is known": (
        (captured("c", 500), refund("r", "succeeded", 120, payment="p"), refunded_in_all("p", 100)),
        {"refunded": 120},
    ),
    "what nothing accounts for released the rest of the hold where it is just that": (
        (authorized("a", 100), captured("c", 60, authorization="a"), refund("r", "unbooked", 40, payment="a")),
        {"refunded": 0},
    ),
    "only once": (
        (
            authorized("a", 100),
            captured("c", 60, authorization="a"),
            *(refund(one, "unbooked", 40, payment="a") for one in "rs"),
        ),
        {"refunded": 40},
    ),
    "and else it gave money back": (
        (authorized("a", 100), captured("c", 60, authorization="a"), refund("r", "unbooked", 30, payment="a")),
        {"refunded": 30},
    ),
    "what was taken of no hold by name was of the only one": (
        (authorized("a", 100), captured("c", 60), refund("r", "unbooked", 40, payment="a")),
        {"refunded": 0},
    ),
    "and of none of several": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 60), refund("r", "unbooked", 100, payment="a")),
        {"refunded": 0},
    ),
    # what does not add up
    "each hold is a bound of its own": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 150, authorization="a")),
        {"over_captured": True},
    ),
    "what came undone is above no hold": (
        (authorized("a", 100), captured("c", 150, authorization="a"), reversal("r", "c", 60)),
        {"over_captured": False},
    ),
    "what names a hold that is not known is above none": (
        (authorized("a", 100), captured("c", 500, authorization="z")),
        {"over_captured": False},
    ),
    "what names none is held against all": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 201)),
        {"over_captured": True},
    ),
    "also where one names its own hold": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 100, authorization="a"), captured("d", 101)),
        {"over_captured": True},
    ),
    "up to all of it": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 100, authorization="a"), captured("d", 100)),
        {"over_captured": False},
    ),
    "and below": ((authorized("a", 100), captured("c", 60)), {"over_captured": False}),
    "a void of what was taken contradicts it": (
        (authorized("a", 100), captured("c", 100, authorization="a"), void("a", "canceled")),
        {"contradicts": True},
    ),
    "one that failed does not": (
        (authorized("a", 100), captured("c", 100, authorization="a"), void("a", "failed")),
        {"contradicts": False},
    ),
    "nor one of the rest": (
        (authorized("a", 100), captured("c", 60, authorization="a"), void("a", "canceled")),
        {"contradicts": False, "is_closed": True},
    ),
    "what names no hold was taken of the only one": (
        (authorized("a", 100), captured("c", 100), void("a", "canceled")),
        {"contradicts": True},
    ),
    "and of none of several that is voided": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 100), void("a", "canceled")),
        {"contradicts": False},
    ),
    "nor where a little of it was not taken": (
        (authorized("a", 100), captured("c", 99, authorization="a"), void("a", "canceled")),
        {"contradicts": False},
    ),
    "by name or not": ((authorized("a", 100), captured("c", 99), void("a", "canceled")), {"contradicts": False}),
    "but where all was, beside another": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 100, authorization="a"), void("a", "canceled")),
        {"contradicts": True},
    ),
    "and not where a little was not": (
        (*(authorized(one, 100) for one in "ab"), captured("c", 99, authorization="a"), void("a", "canceled")),
        {"contradicts": False},
    ),
    "and of the least": (
        (authorized("a", 1), captured("c", 1, authorization="a"), void("a", "canceled")),
        {"contradicts": True},
    ),
    "an end of the least": (
        (terms("p", 1), captured("c", 1, authorization="p"), ended("p", "canceled")),
        {"contradicts": True},
    ),
    "but not where nothing tells what was asked for": (
        (terms("p", 0), captured("c", 1, authorization="p"), ended("p", "canceled")),
        {"contradicts": False},
    ),
    "an end of nothing taken of nothing asked": (
        (terms("p", 0), ended("p", "canceled")),
        {"contradicts": False},
    ),
    "an end of what was taken contradicts it": (
        (terms("p", 100), captured("c", 100, authorization="p"), ended("p", "canceled")),
        {"contradicts": True},
    ),
    "not where it went back": (
        (
            terms("p", 100),
            captured("c", 100, authorization="p"),
            ended("p", "canceled"),
            refund("r", "succeeded", 100, payment="p"),
        ),
        {"contradicts": False},
    ),
    "nor where a part was taken": (
        (terms("p", 100), captured("c", 60, authorization="p"), ended("p", "canceled")),
        {"contradicts": False},
    ),
    "an event that named another payment too": ((Fact(FactKind.MEETING, "x", "met"),), {"contradicts": True}),
    "two figures of one moment": (
        (authorized("a", 100), adjusted("x", "a", 120, version=1), adjusted("y", "a", 130, version=1)),
        {"contradicts": True, "authorized": 130},
    ),
    "not of two": (
        (authorized("a", 100), adjusted("x", "a", 130, version=1), adjusted("y", "a", 120, version=2)),
        {"contradicts": False, "authorized": 120},
    ),
    "nor of two holds": (
        (
            *(authorized(one, 100) for one in "ab"),
            adjusted("x", "a", 120, version=1),
            adjusted("y", "b", 130, version=1),
        ),
        {"contradicts": False, "authorized": 250},
    ),
    "nor of two that say 0": (
        (authorized("a", 100), *(adjusted(one, "a", 0, version=1) for one in "xy")),
        {"contradicts": False, "authorized": 0},
    ),
    "one figure is that of no other": (
        (authorized("a", 100), adjusted("x", "a", 120, version=1)),
        {"contradicts": False, "authorized": 120},
    ),
    "a hold of 0 is open until it is voided": (
        (authorized("a", 100), void("a", "canceled"), authorized("b", 0)),
        {"is_closed": False, "is_live": True},
    ),
    "closed is what is ended, whatever its name": (
        (terms("p", 1), ended("p", "closed")),
        {"is_closed": True, "ends": {}},
    ),
    # payments of 0
    "what was taken and came undone was no payment of 0": (
        (terms("p", 0), captured("z", 0), captured("c", 10), reversal("r", "c", 10)),
        {"paid_nothing": False, "undone": True},
    ),
    "nothing taken of nothing asked is paid": ((terms("p", 0), captured("z", 0)), {"paid_nothing": True}),
    "a total of nothing is paid": ((captured_in_all("p", 0),), {"paid_nothing": True}),
    "nothing taken of something is not": ((terms("p", 5), captured("z", 0)), {"paid_nothing": False}),
    "nor one that waits": ((terms("p", 0), capture_pending("z", 0)), {"paid_nothing": False}),
    "all of nothing asked is paid": (
        (terms("p", 0), captured("z", None)),
        {"paid_nothing": True, "takes_unknown": False},
    ),
    "by a total too": ((terms("p", 0), captured_in_all("p", None)), {"paid_nothing": True, "takes_unknown": False}),
    "and by what the client asked": ((wanted(0), captured("z", None)), {"paid_nothing": True}),
    "all of what nobody tells is not nothing": ((captured("z", None),), {"paid_nothing": False}),
    "nor is a total of it": ((captured_in_all("p", None),), {"paid_nothing": False, "takes_unknown": True}),
    "nor once it came undone": (
        (captured_in_all("p", None), reversal("r", "p", None)),
        {"paid_nothing": False, "takes_unknown": False, "undone": True},
    ),
    "nothing taken at all is not": ((terms("p", 0),), {"paid_nothing": False}),
    "what was taken of which nothing tells how much": (
        (captured("c", None),),
        {"takes_unknown": True, "undone": False},
    ),
    "not where only the reversal says how much": (
        (captured("c", None), reversal("r", "c", 500)),
        {"captured": 0, "takes_unknown": False, "undone": True},
    ),
    "a reversal that was taken back itself leaves it": (
        (captured("c", None), reversal("r", "c", None, "canceled")),
        {"takes_unknown": True, "undone": False},
    ),
    "what failed before it was taken never came undone": (
        (capture_pending("c", None), failed("c", None, "c")),
        {"takes_unknown": False, "undone": False},
    ),
    "nor did what is taken beside it": (
        (captured("c", None), captured("k", 5), reversal("r", "c", None)),
        {"captured": 5, "undone": False},
    ),
    "nor what asked for nothing": (
        (terms("p", 0), captured("c", None), reversal("r", "c", None)),
        {"takes_unknown": False, "undone": False},
    ),
    "nor where anything tells": ((wanted(5), captured("c", None)), {"takes_unknown": False}),
    "nor while it waits": ((capture_pending("c", None),), {"takes_unknown": False}),
}


@pytest.mark.parametrize(("facts", "figures"), SUMS.values(), ids=SUMS)
def test_the_sums_of_children(facts: tuple[Fact, ...], figures: dict[str, Any]) -> None:
    for order in (facts, facts[::-1]):
        found = children(*order)
        assert {name: getattr(found, name) for name in figures} == figures


DISPUTED = dispute("d", "open", payment="p")


@pytest.mark.parametrize(
    ("facts", "taken"),
    [
        ((captured("c", 100, authorization="p"), captured("o", 70, authorization="q"), reversal("r", "c", 40)), 60),
        (
            (
                authorized("a", 100, attempt="p"),
                captured("c", 90, authorization="a"),
                captured("o", 7, authorization="q"),
            ),
            90,
        ),
        ((captured("c", 100, authorization="q"),), 100),
        ((captured("c", 100, authorization="p"), captured("o", 70)), 170),
    ],
)
def test_what_was_captured_of_the_payment_that_a_dispute_names(facts: tuple[Fact, ...], taken: int) -> None:
    """In all where nothing shows which part is its."""
    found = children(DISPUTED, *facts)
    assert found.captured_of("d") == taken
    assert found.captured_of("unknown") == found.captured


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ((authorized("a", 9, attempt="p"), ended("p", "canceled")), Status.CANCELED),
        ((captured("c", None),), Status.PROCESSING),
        ((captured("c", None), reversal("r", "c", None)), Status.FAILED),
        ((captured("c", None), reversal("r", "c", None), ended("p", "canceled")), Status.CANCELED),
        ((authorized("a", 9), ended("a", "expired")), Status.EXPIRED),
        (
            (authorized("a", 9, attempt="t"), attempt("t", "processing", payment="p"), ended("p", "expired")),
            Status.EXPIRED,
        ),
        ((authorized("a", 9, attempt="q"), ended("p", "canceled")), Status.AUTHORIZED),
        ((authorized("a", 9, attempt="p"), ended("p", "closed")), Status.AUTHORIZED),
    ],
)
def test_an_end_is_of_its_payments_holds_and_of_those_of_its_tries(facts: tuple[Fact, ...], status: Status) -> None:
    assert full_row(newer({}, facts)).status is status


def test_what_was_ended_and_came_undone_was_ended() -> None:
    facts = (captured("c", 9, authorization="p"), reversal("r", "c", 9))
    assert full_row(newer({}, facts)).status is Status.FAILED
    assert full_row(newer({}, (*facts, ended("p", "canceled")))).status is Status.CANCELED


@pytest.mark.parametrize(("taken", "undone", "underpaid"), [(9, 4, False), (4, 4, True), (4, 0, True), (9, 0, False)])
def test_underpaid_is_what_was_never_taken_in_full(taken: int, undone: int, underpaid: bool) -> None:  # noqa: FBT001
    """That money came undone later is another matter, and has its own words."""
    facts = (terms("p", 9), captured("c", taken, authorization="p"), ended("p", "closed"))
    row = full_row(newer({}, (*facts, reversal("r", "c", undone))))
    assert (Flag.UNDERPAID in row.flags) is underpaid


def test_nothing_taken_of_nothing_asked_is_paid_whatever_a_try_asked() -> None:
    assert full_row(newer({}, (attempt("t", "failed", amount=5), captured("z", 0)))).status is Status.CAPTURED


@pytest.mark.parametrize("state", ["pending", "unbooked", "failed"])
def test_only_a_refund_that_is_under_way_is_pending(state: str) -> None:
    """One that released the rest of a hold is over."""
    facts = (authorized("a", 100), captured("c", 60, authorization="a"), refund("r", state, 40, payment="a"))
    expected = RefundStatus.PENDING if state == "pending" else RefundStatus.NONE
    assert full_row(newer({}, facts)).refund_status is expected


@pytest.mark.parametrize("known", [(), (attempt("p", "succeeded"),)])
@pytest.mark.parametrize("taken", [captured("p", None), captured_in_all("p", None)])
def test_taken_whole_of_nobody_knows_how_much_is_no_payment_of_nothing(taken: Fact, known: tuple[Fact, ...]) -> None:
    """A success that names no figure, of a payment whose terms are not known yet: it waits for them."""
    facts = newer({}, (taken, *known))
    assert full_row(facts).status is Status.PROCESSING
    assert full_row(newer({}, (taken, *known, wanted(9)))).captured == 9
