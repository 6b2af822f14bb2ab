"""Facts as JSON and back."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.facts_json import adds_to, dump_joined, dump_reported, load_joined, load_reported, same_facts
from consumer.fold import newer
from schemas.facts import AMOUNT_MAX, RANKS, VERSION_MAX, ChildState, Fact, FactKind

pytestmark = pytest.mark.unit

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
FACTS = st.sampled_from([(kind, state) for kind, states in RANKS.items() for state in states]).flatmap(
    lambda place: st.builds(
        Fact,
        st.just(place[0]),
        TEXTS,
        st.just(place[1]),
        st.one_of(st.none(), st.integers(0, AMOUNT_MAX)),
        st.one_of(st.none(), TEXTS),
        st.integers(0, VERSION_MAX),
        st.one_of(st.none(), TEXTS),
    )
)


@given(st.lists(FACTS, max_size=6, unique_by=lambda fact: (fact.kind, fact.key)))
def test_round_trips(facts: list[Fact]) -> None:
    joined = newer({}, facts)
    assert load_joined(dump_joined(joined)) == joined
    assert sorted(load_reported(dump_reported(facts)), key=repr) == sorted(facts, key=repr)


@given(
    st.lists(FACTS, max_size=4, unique_by=lambda fact: (fact.kind, fact.key)).flatmap(
        lambda facts: st.tuples(st.just(facts), st.permutations(facts))
    )
)
def test_reported_has_one_order(pair: tuple[list[Fact], list[Fact]]) -> None:
    assert dump_reported(pair[0]) == dump_reported(pair[1])


@pytest.mark.parametrize("amounts", [(None, 5), (5, None), (5, 7), (5, 5)])
def test_one_child_twice_in_an_event_has_one_order_too(amounts: tuple[int | None, int | None]) -> None:
    """A figure and the lack of one can't be compared."""
    facts = [Fact(FactKind.REFUND, "r", "succeeded", amount, "p") for amount in amounts]
    other = Fact(FactKind.CAPTURE, "c", "succeeded", 9)
    assert dump_reported([*facts, other]) == dump_reported([other, *reversed(facts)])
    assert sorted(load_reported(dump_reported([*facts, other])), key=repr) == sorted([*facts, other], key=repr)


def test_a_key_may_hold_colons() -> None:
    facts = {(FactKind.REFUND, "a:b:c"): ChildState("succeeded", 5)}
    assert json.loads(dump_joined(facts)) == {"refund:a:b:c": ["succeeded", 5]}
    assert load_joined(dump_joined(facts)) == facts


def test_same_facts_whatever_the_database_spaced() -> None:
    reported = dump_reported([Fact(FactKind.VOID, "a", "canceled"), Fact(FactKind.REFUND, "r", "succeeded", 5)])
    assert reported == '[["refund","r",["succeeded",5]],["void","a",["canceled"]]]'
    assert same_facts(reported, reported)
    assert same_facts(json.dumps(json.loads(reported), indent=1), reported)
    assert not same_facts(reported, reported.replace("5", "6"))
    assert not same_facts(reported, "[]")


def test_one_event_in_two_versions_of_an_api_agrees_where_both_speak() -> None:
    total = Fact(FactKind.REFUND_TOTAL, "pi_1", "succeeded", 400)
    listed = Fact(FactKind.REFUND, "re_1", "succeeded", 400)
    fewer, more = dump_reported([total]), dump_reported([total, listed])
    assert same_facts(fewer, more)
    assert same_facts(more, fewer)
    assert not same_facts(dump_reported([msgspec.structs.replace(total, amount=500)]), more)


def test_what_one_event_says_twice_of_a_child_has_one_order() -> None:
    """Bodies are compared by it: the same two facts in another order are the same event."""
    some, none = Fact(FactKind.CAPTURE, "c", "succeeded", 5), Fact(FactKind.CAPTURE, "c", "succeeded")
    other, more = Fact(FactKind.CAPTURE, "c", "pending", 5), Fact(FactKind.CAPTURE, "d", "succeeded", 5)
    for facts in ((some, none), (some, other), (some, other, more)):
        assert dump_reported(facts) == dump_reported(reversed(facts))
        assert set(load_reported(dump_reported(facts))) == set(facts)


def test_one_child_twice_has_one_order_also_where_only_one_has_an_amount() -> None:
    reported = [Fact(FactKind.CAPTURE, "c", "succeeded", amount, "p") for amount in (5, None, 3)]
    assert {dump_reported(order) for order in itertools.permutations(reported)} == {dump_reported(reported)}


def test_a_copy_adds_what_it_says_beside_all_that_was_reported() -> None:
    one, other = Fact(FactKind.VOID, "a", "failed"), Fact(FactKind.REFUND, "r", "succeeded", 5)
    assert adds_to(dump_reported([one]), dump_reported([one, other]))
    assert not adds_to(dump_reported([one, other]), dump_reported([one]))
    assert not adds_to(dump_reported([one]), dump_reported([one]))
    assert not adds_to(dump_reported([]), dump_reported([one])), (
        "what reported nothing is contradicted by what says something"
    )
    assert not adds_to(dump_reported([one]), dump_reported([other, Fact(FactKind.VOID, "b", "failed")]))


def test_what_was_asked_to_begin_with_is_stored() -> None:
    """Left out, an intent takes an attempt of more than it asked once its row was read again."""
    lowered = newer({}, [Fact(FactKind.TERMS, "a", "asked", amount) for amount in (900, 1000)])
    assert lowered[FactKind.TERMS, "a"].low == 900
    assert load_joined(dump_joined(lowered)) == lowered
    for state in (ChildState("asked", 5, "p", 3, None, 4), ChildState("asked", 5, None, 0, None, 0)):
        assert load_joined(dump_joined({(FactKind.TERMS, "a"): state})) == {(FactKind.TERMS, "a"): state}


@pytest.mark.parametrize("amount", [0, None, 5])
@pytest.mark.parametrize("parent", [None, "p"])
def test_a_figure_of_0_is_none_that_is_missing(amount: int | None, parent: str | None) -> None:
    """A capture of 0 took nothing; one without an amount took all that was asked for."""
    fact = Fact(FactKind.CAPTURE, "c", "succeeded", amount, parent)
    assert load_reported(dump_reported([fact])) == [fact]
    facts = newer({}, [fact])
    assert load_joined(dump_joined(facts)) == facts


@pytest.mark.parametrize("parents", [("p", "q"), (None, "p")])
def test_one_child_under_two_parents_in_an_event_has_one_order(parents: tuple[str | None, str]) -> None:
    facts = [Fact(FactKind.REFUND, "r", "succeeded", 5, parent) for parent in parents]
    assert dump_reported(facts) == dump_reported(facts[::-1])
