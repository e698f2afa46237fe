"""Requests that leave KV behind, and one that leaves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from edge_autoglm.errors import MemoryBudgetExceeded
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.requests.reside import prefilled, residency
from edge_autoglm.runtime.requests.trial import trial
from edge_autoglm.runtime.schedule.seat import Seat
from tests.runtime.requests.driving import drive, held_tokens

TOKENS = list(range(1, 11))


@pytest.fixture
def engine() -> ScriptedEngine:
    """Its slot 0 holds what another request left."""
    made = ScriptedEngine(32)
    made.forward([Chunk(0, [30, 31, 30])])
    return made


def store(engine: ScriptedEngine, budget: int = 1 << 16) -> KVStore:
    return KVStore(engine.facts.fingerprint, budget)


def restored(engine: ScriptedEngine, kv: KVStore) -> list[int]:
    """What a later request gets of the tokens."""
    hit = kv.longest([*TOKENS, 20, 21])
    assert hit is not None
    engine.copy_in(3, hit.segments, hit.length)
    return list(held_tokens(engine, 3))


def test_residency_computes_what_is_missing_and_pins_all(engine: ScriptedEngine) -> None:
    kv = store(engine)
    first = drive(residency(kv, TOKENS[:6]), engine)
    second = drive(residency(kv, TOKENS), engine)
    assert (first.result[1], first.lengths) == (6, [6])
    assert (second.result[1], second.lengths) == (4, [4])
    assert kv.stats.pinned_bytes == len(TOKENS) * engine.facts.kv_bytes_per_token
    assert restored(engine, kv) == TOKENS
    second.result[0].release()
    assert kv.stats.pinned_bytes == 6 * engine.facts.kv_bytes_per_token
    first.result[0].release()
    assert kv.stats.pinned_bytes == 0


def test_residency_asks_for_no_logits(engine: ScriptedEngine) -> None:
    assert [len(ask.logits_at) for ask in drive(residency(store(engine), TOKENS), engine).asks] == [0]


def test_residency_leaves_at_least_a_chunk_to_run(engine: ScriptedEngine) -> None:
    kv = store(engine)
    drive(prefilled(kv, TOKENS), engine)
    assert drive(residency(kv, TOKENS), engine).lengths == [2]


def test_residency_says_that_there_is_no_room(engine: ScriptedEngine) -> None:
    with pytest.raises(MemoryBudgetExceeded):
        drive(residency(store(engine, budget=8), TOKENS), engine)


def test_a_prefilled_prompt_is_held_without_a_pin(engine: ScriptedEngine) -> None:
    kv = store(engine)
    drive(prefilled(kv, TOKENS), engine)
    assert restored(engine, kv) == TOKENS
    assert kv.stats.pinned_bytes == 0


def test_a_prefilled_prompt_without_room_is_no_error(engine: ScriptedEngine) -> None:
    kv = store(engine, budget=8)
    assert drive(prefilled(kv, TOKENS), engine).result is None
    assert kv.stats.nbytes == 0


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_trial_gives_the_logits_behind_the_prefill(engine: ScriptedEngine, steps: int) -> None:
    [expected] = ScriptedEngine(32).forward([Chunk(0, TOKENS)])
    ran = drive(trial(TOKENS, steps), engine)
    np.testing.assert_array_equal(ran.result, expected[-1])
    assert ran.lengths == [len(TOKENS), *[1] * steps]


def test_a_trial_can_be_stopped(engine: ScriptedEngine) -> None:
    steps = trial(TOKENS, 3)(Seat(engine, 0))
    next(steps)
    steps.close()
