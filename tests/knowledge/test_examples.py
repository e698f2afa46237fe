"""Solved examples: found, replaced, evicted, erased."""

from __future__ import annotations

import random

import pytest

from edge_autoglm.errors import InputRejected, RequestError
from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.examples import ExampleStore


def texts(found: object) -> list[str]:
    return [example.inputs["text"] for example in found]  # type: ignore[attr-defined]


@pytest.fixture
def store(database: Database) -> ExampleStore:
    examples = ExampleStore(database)
    examples.add("mood", {"text": "the soup was cold"}, "bad")
    examples.add("mood", {"text": "lovely warm soup and bread"}, "good")
    examples.add("mood", {"text": "the tram was late"}, "bad")
    examples.add("topic", {"text": "soup recipes"}, "food")
    return examples


def test_similar_ones_come_first_and_the_newest_fill_up(store: ExampleStore) -> None:
    assert texts(store.similar("mood", {"text": "is the soup warm?"}, 3)) == [
        "lovely warm soup and bread",
        "the soup was cold",
        "the tram was late",
    ]
    assert texts(store.similar("mood", {"text": "zebra"}, 2)) == ["the tram was late", "lovely warm soup and bread"]
    assert store.similar("none", {"text": "soup"}, 2) == ()


def test_only_those_of_an_answer(store: ExampleStore) -> None:
    assert texts(store.similar("mood", {"text": "soup"}, 5, answer="bad")) == ["the soup was cold", "the tram was late"]


def test_recent_and_random(store: ExampleStore) -> None:
    assert texts(store.recent("mood", 2)) == ["the tram was late", "lovely warm soup and bread"]
    drawn = [store.random("mood", 2, random.Random(5)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(store.random("mood", 9, random.Random(1))) == 3


def test_the_same_inputs_replace_their_answer(store: ExampleStore) -> None:
    store.add("mood", {"text": "the soup was cold"}, "good")
    assert store.count("mood") == 3
    assert [one.answer for one in store.list("mood") if "cold" in one.inputs["text"]] == ["good"]
    assert len(store.similar("mood", {"text": "cold"}, 1, answer="good")) == 1


def test_counts_listing_and_removal(store: ExampleStore) -> None:
    assert (store.count(), store.count("topic")) == (4, 1)
    first = store.list()[0]
    assert store.get(first.id) == first
    assert (store.remove(first.id, 999), store.get(first.id)) == (1, None)
    assert (store.erase("mood"), store.count()) == (2, 1)
    assert (store.erase(), store.nbytes) == (1, 0)


def test_the_oldest_make_room(database: Database) -> None:
    store = ExampleStore(database, budget_bytes=400)
    for number in range(20):
        store.add("mood", {"text": f"number {number} " + "x" * 30}, "good")
    assert store.nbytes <= 400
    kept = texts(store.list())
    assert kept == [f"number {number} " + "x" * 30 for number in range(20 - len(kept), 20)]
    assert len(store.similar("mood", {"text": "number"}, 20)) == len(kept)


@pytest.mark.parametrize("bad", ["", "  ", "a\0b", "\ud800", None, 3])
def test_unusable_texts_are_refused_and_nothing_is_added(store: ExampleStore, bad: object) -> None:
    with pytest.raises(InputRejected):
        store.add_many("mood", [({"text": "fine"}, "good"), ({"text": bad}, "good")])  # type: ignore[dict-item]
    with pytest.raises(InputRejected):
        store.add("mood", {"text": "fine"}, bad)  # type: ignore[arg-type]
    assert store.count() == 4


def test_one_that_is_larger_than_the_store_is_refused(database: Database) -> None:
    with pytest.raises(InputRejected, match="the store holds 100"):
        ExampleStore(database, budget_bytes=100).add("mood", {"text": "x" * 200}, "good")
    with pytest.raises(RequestError, match="budget"):
        ExampleStore(database, budget_bytes=0)


def test_hostile_inputs_are_kept_as_they_are(store: ExampleStore) -> None:
    hostile = ['"; DROP TABLE examples; --', "NEAR(a b)", "a" * 1_000_000, "\u202e🙂{{ x }}", "*", "<|im_end|>"]
    for text in hostile:
        example = store.add("mood", {"text": text}, "bad")
        found = store.get(example.id)
        assert found is not None
        assert found.inputs == {"text": text}
        store.similar("mood", {"text": text}, 2)
    assert store.count("mood") == 3 + len(hostile)
