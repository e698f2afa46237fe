"""Bit for bit: how a prompt is cut, who runs beside it and what a slot held before change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from tests.runtime.engines.standard.engines_for_tests import CAPACITY, OTHER, TEXT, in_chunks, logits_of

KINDS = ("fp32", "fp16", "int8", "w8a8", "int4", "decomposed-fp32", "decomposed-fp16", "decomposed-int4")
"""Precisions of the native graph, and some of the other."""


def decoded(engine: Engine, slot: int, tokens: Sequence[int]) -> Logits:
    """Logits of tokens that are appended one a step."""
    return np.concatenate([logits_of(engine, slot, [token]) for token in tokens])


def kv(engine: Engine, slot: int, begin: int, end: int) -> Any:
    """Keys and values of a slot's tokens."""
    return np.asarray(engine.copy_out(slot, begin, end).arrays[0])


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_of_all_lengths_equal_their_chunks(engines: Any, kind: str) -> None:
    engine = engines(kind)
    whole = in_chunks(engine, 0, TEXT, [CAPACITY])
    for length in (2, 3, 15, 16, 17, 18, 31, 32, 33, 34, 47, 63, 64, 65, 66, 95, 127, 128, 129, 142, CAPACITY):
        assert np.array_equal(in_chunks(engine, 1, TEXT, [length]), whole[:length]), length
        for first in {2, 14, 16, 17, length // 2, length - 2} & set(range(2, length - 1)):
            assert np.array_equal(in_chunks(engine, 1, TEXT, [first, length]), whole[:length]), (first, length)


@pytest.mark.parametrize("sizes", [StepSizes(2, 16, 8), StepSizes(3, 8, 4), StepSizes(1, 16, 1)])
def test_two_threads_are_as_exact_as_one(engines: Any, sizes: StepSizes) -> None:
    engine = engines("fp32", sizes=sizes, threads=2, slots=4)
    whole = in_chunks(engine, 0, TEXT, [100])
    for ends in ([2, 4, 100], [33, 98, 100], list(range(2, 101, 2))):
        assert np.array_equal(in_chunks(engine, 3, TEXT, ends), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_decode_together_equal_each_alone(engines: Any, kind: str) -> None:
    """Five rows in blocks of two, of lengths that lie in all buckets and cross into the next."""
    engine, alone = engines(kind, slots=5), engines(kind, slots=1)
    starts = [0, 30, 62, 126, 136]
    texts = [TEXT, OTHER, TEXT[::-1], OTHER[::-1], TEXT]
    engine.forward([Chunk(slot, texts[slot][:start], ()) for slot, start in enumerate(starts) if start])
    steps = [
        engine.forward([Chunk(slot, [texts[slot][start + step]]) for slot, start in reversed(list(enumerate(starts)))])
        for step in range(6)
    ]
    for slot, start in enumerate(starts):
        alone.truncate(0, 0)
        if start:
            alone.forward([Chunk(0, texts[slot][:start], ())])
        expected = decoded(alone, 0, texts[slot][start : start + 6])
        assert np.array_equal(np.concatenate([step[len(starts) - 1 - slot] for step in steps]), expected)


@pytest.mark.parametrize("neighbour", [0, 5, 31, 64, CAPACITY])
def test_a_neighbours_length_changes_nothing(engines: Any, neighbour: int) -> None:
    engine, alone = engines(slots=2), engines(slots=2)
    for each in (engine, alone):
        each.forward([Chunk(0, TEXT[:29], ())])
    if neighbour:
        engine.forward([Chunk(1, OTHER[:neighbour], ())])
    for token in TEXT[29:36]:
        beside = [Chunk(1, [9])] if engine.length(1) < CAPACITY else []
        assert np.array_equal(engine.forward([Chunk(0, [token]), *beside])[0], logits_of(alone, 0, [token]))


def test_a_full_slot_rides_along_unharmed(engines: Any) -> None:
    engine = engines(slots=2)
    whole = logits_of(engine, 1, TEXT)
    before = kv(engine, 1, 0, CAPACITY)
    decoded(engine, 0, OTHER)
    assert np.array_equal(kv(engine, 1, 0, CAPACITY), before)
    engine.truncate(1, CAPACITY - 3)
    assert np.array_equal(logits_of(engine, 1, TEXT[-3:]), whole[-3:])
    engine.truncate(1, CAPACITY - 1)
    engine.truncate(0, 0)
    assert np.isfinite(logits_of(engine, 1, TEXT[-1:])).all()  # over all columns, the riders' too


def test_a_page_that_was_decoded_is_gone_on_from_in_any_cut(engines: Any) -> None:
    engine = engines()
    for slot in (0, 1):
        engine.forward([Chunk(slot, TEXT[:10], ())])
    steps = decoded(engine, 0, TEXT[10:40])
    assert np.array_equal(decoded(engine, 1, TEXT[10:40]), steps)
    together = logits_of(engine, 0, TEXT[40:60])
    cut = np.concatenate([logits_of(engine, 1, TEXT[begin:end]) for begin, end in ((40, 42), (42, 50), (50, 60))])
    assert np.array_equal(cut, together)
    assert np.array_equal(decoded(engine, 1, TEXT[60:70]), decoded(engine, 0, TEXT[60:70]))


def test_a_chunk_behind_decoded_tokens_leaves_its_page_as_prefill_would(engines: Any) -> None:
    engine = engines("fp32")
    whole = logits_of(engine, 0, TEXT[:30])
    engine.forward([Chunk(1, TEXT[:16], ())])
    decoded(engine, 1, TEXT[16:21])
    assert not np.array_equal(kv(engine, 1, 16, 21), kv(engine, 0, 16, 21))
    assert np.array_equal(logits_of(engine, 1, TEXT[21:30]), whole[21:])
    assert np.array_equal(kv(engine, 1, 0, 30), kv(engine, 0, 0, 30))


@pytest.mark.parametrize("wanted", [range(60), range(3, 60, 2), [0, 59], [15, 16], range(16, 32), []])
def test_any_number_of_positions_can_be_wanted(engines: Any, wanted: Sequence[int]) -> None:
    """More than 8 of a page take further runs of it."""
    engine = engines()
    one_by_one = np.concatenate([in_last(engine, TEXT[: place + 1]) for place in wanted] or [np.zeros((0, 320))])
    engine.truncate(1, 0)
    [together] = engine.forward([Chunk(1, TEXT[:60], wanted)])
    assert together.dtype == np.float32
    assert np.array_equal(together, one_by_one)


def in_last(engine: Engine, tokens: Sequence[int]) -> Logits:
    """Logits behind tokens that run with one more, so that even one is no decode step."""
    engine.truncate(0, 0)
    [logits] = engine.forward([Chunk(0, [*tokens, 5], [len(tokens) - 1])])
    return logits


def test_a_restored_part_of_a_page_is_gone_on_from(engines: Any) -> None:
    engine, other = engines(slots=1), engines(slots=2)
    whole = logits_of(engine, 0, TEXT[:70])
    segment = engine.copy_out(0, 0, 41)
    other.forward([Chunk(1, OTHER[:90], ())])
    for length in (1, 15, 16, 17, 40, 41):
        other.copy_in(1, [segment.part(0, length)])
        assert np.array_equal(logits_of(other, 1, TEXT[length:70]), whole[length:])
