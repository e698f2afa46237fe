"""The engine's own business: facts, slots, forks, and the backend's end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from tests.runtime.engines.standard.engines_for_tests import CAPACITY, COLUMNS, OTHER, SIZES, TEXT, logits_of


class CountingBackend(OrtBackend):
    """Says how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


def counting(graph: Path, slots: int = 2) -> tuple[StandardEngine, CountingBackend]:
    backend = CountingBackend.load(graph, threads=1, provider="cpu", sizes=SIZES)
    assert isinstance(backend, CountingBackend)
    return StandardEngine(backend, fingerprint="tiny-cpu", slots=slots, capacity=100), backend


def test_facts_are_those_of_the_graph_and_of_what_was_asked_for(engines: Any) -> None:
    facts = engines("fp16", slots=3, capacity=50).facts
    assert (facts.slots, facts.capacity, facts.vocab_size, facts.page) == (3, 50, 320, 16)
    assert (facts.fingerprint, facts.exact_decode) == ("tiny-cpu", False)
    assert facts.kv_bytes_per_token == 2 * 2 * 2 * 16 * 2  # keys and values, layers, heads, channels, bytes
    assert engines("fp32").facts.kv_bytes_per_token == 2 * facts.kv_bytes_per_token


def test_capacity_leaves_the_last_column_free(engines: Any) -> None:
    engine = engines(capacity=10_000)
    assert engine.facts.capacity == CAPACITY == COLUMNS - 1


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_slots_need_not_be_whole_blocks(engines: Any, slots: int) -> None:
    engine = engines(slots=slots)
    engine.forward([Chunk(slot, TEXT[:20]) for slot in range(slots)])
    rows = engine.forward([Chunk(slot, [7]) for slot in range(slots)])
    assert all(np.array_equal(row, rows[0]) for row in rows)
    with pytest.raises(EngineError, match=f"slot {slots}"):
        engine.forward([Chunk(slots, [7])])


def test_a_cache_of_broken_pages_is_refused(tiny_graph: Any) -> None:
    backend = OrtBackend.load(tiny_graph("fp16"), threads=1, provider="cpu", sizes=StepSizes(page=32))
    with pytest.raises(EngineError, match="144"):
        StandardEngine(backend, fingerprint="tiny-cpu", slots=1, capacity=100)


def test_a_decode_step_without_wanted_logits_gives_none(engines: Any) -> None:
    engine = engines()
    engine.forward([Chunk(0, TEXT[:4], ())])
    none, some = engine.forward([Chunk(0, [7], ()), Chunk(1, [7])])
    assert (none.shape, some.shape) == ((0, 320), (1, 320))
    assert engine.length(0) == 5


def test_segments_carry_the_tokens_that_a_page_is_computed_from(engines: Any) -> None:
    engine = engines()
    engine.forward([Chunk(0, TEXT[:20], ())])
    segment = engine.copy_out(0, 5, 15)
    kv, tokens = segment.arrays
    assert (np.asarray(kv).shape, segment.token_axes) == ((4, 2, 10, 16), (2, 0))
    assert np.asarray(tokens).tolist() == TEXT[5:15]


def test_the_backend_is_closed_with_the_last_engine_over_it(tiny_graph: Any) -> None:
    engine, backend = counting(tiny_graph("fp16"))
    first, second = engine.fork(1), engine.fork(1)
    third = first.fork(1)
    whole = logits_of(engine, 0, TEXT[:20])
    for each in (first, first, engine, second):
        each.close()
    assert backend.closed == 0
    assert np.array_equal(logits_of(third, 0, TEXT[:20]), whole)
    third.close()
    third.close()
    assert backend.closed == 1
    with pytest.raises(EngineError, match="closed"):
        third.fork(1)


def test_a_forgotten_fork_does_not_keep_the_backend_open(tiny_graph: Any) -> None:
    engine, backend = counting(tiny_graph("fp16"))
    engine.fork(1)
    engine.close()
    assert backend.closed == 1


def test_engines_that_share_turns_know_of_each_other(tiny_graph: Any) -> None:
    turns = FairLock()
    one, other = (
        StandardEngine(
            OrtBackend.load(tiny_graph("fp16"), threads=1, provider="cpu", sizes=SIZES),
            fingerprint="tiny-cpu",
            slots=1,
            capacity=100,
            turns=turns,
        )
        for _ in range(2)
    )
    assert not one.contended
    other.forward([Chunk(0, OTHER[:20], ())])
    assert one.contended
    assert not other.contended
    one.close()
    assert logits_of(other, 0, OTHER[20:30]).shape == (10, 320)
    other.close()
