"""Conversations and facts as they are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_autoglm.errors import InputRejected
from edge_autoglm.knowledge.conversations import ConversationState, ConversationStore, Turn
from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.facts import FactStore


def test_turns_are_kept_in_order_with_the_summary(database: Database) -> None:
    store = ConversationStore(database)
    assert store.load("c") is None
    state = store.save(ConversationState("c", system="Be nice."), [Turn("a", "1"), Turn("b", "2", (7,))])
    state = store.save(replace(state, summary="a was said", folded=1), [Turn("c", "3")])
    assert state == store.load("c")
    assert [turn.user for turn in state.turns] == ["a", "b", "c"]
    assert [turn.user for turn in state.live] == ["b", "c"]
    assert (state.system, state.summary, state.turns[1].facts) == ("Be nice.", "a was said", (7,))


def test_folded_turns_make_room_and_no_others(database: Database) -> None:
    store = ConversationStore(database, budget_bytes=60)
    state = store.save(ConversationState("old"), [Turn("x" * 20, "y" * 20), Turn("z" * 20, "w" * 20)])
    assert len(state.turns) == 2  # over the budget, but all of it is in the prompt
    state = store.save(replace(state, folded=1), [Turn("v", "u")])
    assert [turn.user[0] for turn in state.turns] == ["z", "v"]
    assert [turn.user[0] for turn in state.live] == ["z", "v"]
    state = store.save(replace(state, folded=3), [Turn("t" * 30, "s" * 30)])
    assert [turn.user[0] for turn in state.live] == ["t"]
    assert state.first + len(state.turns) == 4


def test_names_and_erasing(database: Database) -> None:
    store = ConversationStore(database)
    for name in ("b", "a"):
        store.save(ConversationState(name), [Turn("u", "v")])
    assert store.names() == ["b", "a"]
    assert (store.erase("b"), store.names(), store.load("b")) == (1, ["a"], None)
    assert (store.erase(), store.erase(), store.names()) == (1, 0, [])


@pytest.mark.parametrize("bad", ["a\0b", "\ud800"])
def test_unusable_texts_are_refused(database: Database, bad: str) -> None:
    store = ConversationStore(database)
    with pytest.raises(InputRejected):
        store.save(ConversationState("c"), [Turn(bad, "v")])
    with pytest.raises(InputRejected):
        store.save(ConversationState(bad))
    assert store.names() == []


def test_a_fact_is_seen_by_its_conversation_only_or_by_all(database: Database) -> None:
    facts = FactStore(database)
    tea = facts.add("likes green tea", conversation="a")
    facts.add("the shop sells tea")
    assert facts.add("likes green tea", conversation="a") == tea
    assert len(facts.search("tea", conversation="a")) == 2
    assert [fact.text for fact in facts.search("tea", conversation="b")] == ["the shop sells tea"]
    assert [fact.text for fact in facts.list("b")] == ["the shop sells tea"]
    assert (facts.erase("a"), len(facts.list())) == (1, 1)
    assert (facts.remove(tea.id), facts.get([tea.id])) == (0, ())


def test_facts_are_not_lost_to_others_numbers(database: Database) -> None:
    facts = FactStore(database)
    first = facts.add("one")
    facts.remove(first.id)
    assert facts.add("two").id > first.id


def test_the_oldest_facts_make_room(database: Database) -> None:
    facts = FactStore(database, budget_bytes=50)
    for number in range(10):
        facts.add(f"fact number {number}")
    assert [fact.text for fact in facts.list()] == ["fact number 7", "fact number 8", "fact number 9"]
