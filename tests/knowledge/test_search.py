"""Words and vectors: fused by their ranks; a plug-in that fails costs itself only."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.examples import ExampleStore
from edge_autoglm.knowledge.facts import FactStore
from edge_autoglm.knowledge.fusion import fuse

MEANINGS = ({"car", "automobile", "vehicle"}, {"dog", "puppy", "hound"}, {"rain", "shower", "wet"})


class Meanings:
    """Knows three meanings, whatever the words."""

    name = "meanings"

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        self.embedded += len(texts)
        return np.array([[0.01 + len(words & set(text.split())) for words in MEANINGS] for text in texts])


class Broken:
    def __init__(self, given: object) -> None:
        self.given = given

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        if isinstance(self.given, Exception):
            raise self.given
        return np.array(self.given)


def test_ranks_are_fused_as_in_the_paper() -> None:
    fused = dict(fuse([[1, 2], [3, 2]]))
    assert fused == pytest.approx({2: 2 / 62, 1: 1 / 61, 3: 1 / 61})
    assert [item for item, _ in fuse([[1, 2], [3, 2]])] == [2, 3, 1]
    assert fuse([[], []]) == []


def test_vectors_find_what_shares_no_word(database: Database) -> None:
    facts = FactStore(database, Meanings())
    for text in ("she owns a puppy", "he drives an automobile", "a shower tonight"):
        facts.add(text)
    assert facts.search("dog", 1)[0].text == "she owns a puppy"
    assert facts.search("vehicle", 1)[0].text == "he drives an automobile"
    assert FactStore(database).search("vehicle", 1) == ()


def test_vectors_are_made_once_and_anew_for_another_embedder(database: Database) -> None:
    embedder = Meanings()
    facts = FactStore(database, embedder)
    facts.add("a dog")
    facts.add("a car")
    facts.search("puppy")
    facts.search("puppy")
    assert embedder.embedded == 4  # two facts, two queries
    other = Meanings()
    other.name = "other"
    FactStore(database, other).search("puppy")
    assert other.embedded == 3


def test_both_rankings_count(database: Database) -> None:
    examples = ExampleStore(database, Meanings())
    examples.add("t", {"text": "the hound of the moor"}, "a")
    examples.add("t", {"text": "a dog"}, "b")
    examples.add("t", {"text": "a plain text"}, "c")
    assert [one.answer for one in examples.similar("t", {"text": "dog"}, 2)] == ["b", "a"]


@pytest.mark.parametrize("given", [ValueError("no model"), [1.0, 2.0], [[float("nan")]], [[1.0], [1.0], [1.0]], [[]]])
def test_a_plug_in_that_fails_leaves_the_words(
    database: Database, given: object, caplog: pytest.LogCaptureFixture
) -> None:
    facts = FactStore(database, Broken(given))
    facts.add("a dog")
    facts.add("a car")
    with caplog.at_level(logging.WARNING):
        assert [fact.text for fact in facts.search("dog")] == ["a dog"]
    assert "searched by" in caplog.text
