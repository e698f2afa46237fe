from __future__ import annotations

import doctest

import numpy as np
import pytest

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime import Chunk, ScriptedEngine
from edge_autoglm.runtime.engines import scripted_engine


def answers(engine: ScriptedEngine, tokens: list[int]) -> list[int]:
    """The most probable next token at every position."""
    engine.truncate(0, 0)
    [logits] = engine.forward([Chunk(0, tokens, range(len(tokens)))])
    return [int(token) for token in logits.argmax(axis=1)]


def test_the_longest_matching_end_of_the_sequence_decides() -> None:
    engine = ScriptedEngine(vocab_size=16, script={(): 9, (3,): 4, (2, 3): 5})
    assert answers(engine, [3, 1, 2, 3]) == [4, 9, 9, 5]


def test_logits_are_the_same_on_every_platform() -> None:
    [logits] = ScriptedEngine(vocab_size=4, seed=1).forward([Chunk(0, [0, 1, 2])])
    assert logits[0].tolist() == [3.6200432777404785, -3.430576801300049, 3.4329710006713867, 3.272258758544922]


def test_logits_are_spread_evenly() -> None:
    [logits] = ScriptedEngine(vocab_size=20_000).forward([Chunk(0, [5])])
    counts, _ = np.histogram(logits, bins=20, range=(-4, 4))
    assert counts.sum() == 20_000
    assert counts.min() > 850
    assert counts.max() < 1150


def test_the_example_of_the_documentation_holds() -> None:
    result = doctest.testmod(scripted_engine)
    assert (result.attempted, result.failed) == (3, 0)


def test_fingerprints_tell_functions_apart() -> None:
    engines = [
        ScriptedEngine(16),
        ScriptedEngine(17),
        ScriptedEngine(16, seed=1),
        ScriptedEngine(16, script={(1,): 2}),
    ]
    assert len({engine.facts.fingerprint for engine in engines}) == 4
    assert ScriptedEngine(16, slots=1, capacity=9).facts.fingerprint == engines[0].facts.fingerprint


def test_the_seed_stands_for_the_weights() -> None:
    first, second = ScriptedEngine(500, seed=1), ScriptedEngine(500, seed=2)
    assert answers(first, list(range(20))) != answers(second, list(range(20)))


@pytest.mark.parametrize(("vocab_size", "slots", "capacity"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_sizes_are_refused(vocab_size: int, slots: int, capacity: int) -> None:
    with pytest.raises(EngineError, match="positive"):
        ScriptedEngine(vocab_size, slots, capacity)


def test_scripts_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(EngineError, match="token id 16"):
        ScriptedEngine(16, script={(1,): 16})
