"""What every engine promises, bit for bit (see ``edge_autoglm/runtime/engine.py``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from edge_autoglm.errors import EngineError, SlotFull
from edge_autoglm.runtime.engine import Chunk, Engine, Logits

TEXT = [int(token) for token in np.random.default_rng(7).integers(3, 300, size=40)]
OTHER = [int(token) for token in np.random.default_rng(8).integers(3, 300, size=40)]


def logits_of(engine: Engine, slot: int, tokens: list[int]) -> Logits:
    """Logits at every position of a chunk appended to the slot."""
    [logits] = engine.forward([Chunk(slot, tokens, range(len(tokens)))])
    return logits


def lengths(engine: Engine) -> list[int]:
    return [engine.length(slot) for slot in range(engine.facts.slots)]


def test_facts_describe_what_was_asked_for(engine_factory: Any) -> None:
    facts = engine_factory(slots=3, capacity=48).facts
    assert (facts.vocab_size, facts.slots, facts.capacity) == (320, 3, 48)
    assert facts.kv_bytes_per_token > 0
    assert facts.fingerprint


def test_logits_are_float32_rows_of_the_vocabulary(engine_factory: Any) -> None:
    [logits] = engine_factory().forward([Chunk(0, TEXT[:5], [0, 4])])
    assert logits.dtype == np.float32
    assert logits.shape == (2, 320)
    assert np.isfinite(logits).all()


def test_the_answer_depends_on_the_whole_sequence(engine_factory: Any) -> None:
    engine = engine_factory()
    first, second = engine.forward([Chunk(0, TEXT[:8]), Chunk(1, [*OTHER[:1], *TEXT[1:8]])])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("sizes", [[2] * 20, [38, 2], [2, 38], [7, 16, 17], [13, 13, 14]])
def test_chunked_prefill_equals_whole_prefill(engine_factory: Any, sizes: list[int]) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    ends = np.cumsum(sizes)
    parts = [logits_of(engine, 1, TEXT[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert lengths(engine) == [40, 40, 0, 0]


@pytest.mark.parametrize("length", [31, 33, 65, 97])
def test_a_prompt_of_any_length_equals_its_chunks(engine_factory: Any, length: int) -> None:
    """Kernels take rows by the tile, and one that is left over as a decode step."""
    engine = engine_factory(slots=2, capacity=128)
    tokens = [int(token) for token in np.random.default_rng(9).integers(3, 300, size=length)]
    whole = logits_of(engine, 0, tokens)
    parts = [
        logits_of(engine, 1, tokens[begin:end]) for begin, end in ((0, 16), (16, length - 2), (length - 2, length))
    ]
    assert np.array_equal(whole, np.concatenate(parts))
    engine.truncate(1, 0)
    [last] = engine.forward([Chunk(1, tokens)])
    assert np.array_equal(whole[-1:], last)


def test_decode_steps_equal_prefill_up_to_rounding(engine_factory: Any, decode_rounding: float) -> None:
    """A chunk of one token may be summed in another order, no more than that."""
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    steps = np.concatenate([logits_of(engine, 1, [token]) for token in TEXT])
    np.testing.assert_allclose(steps, whole, rtol=0, atol=decode_rounding * np.abs(whole).max())


def test_restored_prefix_equals_fresh_prefix(engine_factory: Any) -> None:
    engine = engine_factory()
    engine.forward([Chunk(0, TEXT[:25], ())])
    prefix = engine.copy_out(0, 0, 25)
    fresh = logits_of(engine, 0, TEXT[25:])
    engine.forward([Chunk(2, OTHER, ())])
    engine.copy_in(2, [prefix])
    assert engine.length(2) == 25
    assert np.array_equal(fresh, logits_of(engine, 2, TEXT[25:]))


def test_prefix_is_a_copy(engine_factory: Any) -> None:
    engine = engine_factory()
    fresh = logits_of(engine, 0, TEXT)[25:]
    prefix = engine.copy_out(0, 0, 25)
    engine.truncate(0, 0)
    engine.forward([Chunk(0, OTHER, ())])
    engine.copy_in(0, [prefix])
    assert np.array_equal(fresh, logits_of(engine, 0, TEXT[25:]))
    engine.copy_in(1, [prefix])
    assert np.array_equal(fresh, logits_of(engine, 1, TEXT[25:]))


@pytest.mark.parametrize("length", [1, 12, 24])
def test_part_of_a_prefix_can_be_restored(engine_factory: Any, length: int) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    prefix = engine.copy_out(0, 0, 25)
    engine.copy_in(3, [prefix], length)
    assert engine.length(3) == length
    assert np.array_equal(whole[length:], logits_of(engine, 3, TEXT[length:]))


def test_part_of_a_slot_can_be_copied_out(engine_factory: Any) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    prefix = engine.copy_out(0, 0, 10)
    assert prefix.length == 10
    assert prefix.nbytes > 0
    engine.copy_in(1, [prefix])
    assert np.array_equal(whole[10:], logits_of(engine, 1, TEXT[10:]))


def test_segments_are_put_together_again(engine_factory: Any) -> None:
    """Computed in one slot, copied out in parts, some of them cut further."""
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    segments = [engine.copy_out(0, 0, 7), engine.copy_out(0, 0, 30).part(7, 21), engine.copy_out(0, 21, 36)]
    engine.forward([Chunk(1, OTHER, ())])
    for length in (36, 30, 21, 20, 5):
        engine.copy_in(1, segments, length)
        assert engine.length(1) == length
        assert np.array_equal(whole[length:], logits_of(engine, 1, TEXT[length:]))
    engine.copy_in(1, [])
    assert engine.length(1) == 0


def test_a_segment_is_immutable_and_says_what_it_covers(engine_factory: Any) -> None:
    engine = engine_factory()
    engine.forward([Chunk(0, TEXT, ())])
    segment = engine.copy_out(0, 10, 30)
    part = segment.part(15, 25)
    assert (segment.begin, segment.length, segment.end) == (10, 20, 30)
    assert (part.begin, part.length, part.end, part.nbytes) == (15, 10, 25, segment.nbytes // 2)
    assert segment.fingerprint == part.fingerprint == engine.facts.fingerprint
    for array, cut, axis in zip(segment.arrays, part.arrays, segment.token_axes, strict=True):
        assert (array.shape[axis], cut.shape[axis]) == (20, 10)
        if isinstance(array, np.ndarray):
            assert not array.flags.writeable
            assert not cut.flags.writeable
            assert cut.base is None  # keeps no memory of the whole alive
    for begin, end in [(9, 20), (20, 31), (25, 20)]:
        with pytest.raises(EngineError):
            segment.part(begin, end)


def test_segments_with_a_gap_are_refused(engine_factory: Any) -> None:
    engine = engine_factory()
    engine.forward([Chunk(0, TEXT, ()), Chunk(1, OTHER[:5], ())])
    head, tail = engine.copy_out(0, 0, 10), engine.copy_out(0, 10, 20)
    for segments in ([tail], [tail, head], [head, head], [head, engine.copy_out(0, 11, 20)]):
        with pytest.raises(EngineError, match="expected"):
            engine.copy_in(1, segments)
    assert engine.length(1) == 5


def test_prefix_is_portable_to_another_engine_of_the_model(engine_factory: Any) -> None:
    source, target = engine_factory(slots=2, capacity=64), engine_factory(slots=3, capacity=48)
    whole = logits_of(source, 0, TEXT)
    target.copy_in(2, [source.copy_out(0, 0, 30)])
    assert np.array_equal(whole[30:], logits_of(target, 2, TEXT[30:]))


def test_batched_equals_isolated(engine_factory: Any) -> None:
    """Rows of different length, chunks of different length, slots in any order."""
    engine, alone = engine_factory(), engine_factory()
    starts = {0: (TEXT, 3), 1: (OTHER, 17), 2: (TEXT[::-1], 30), 3: (OTHER[::-1], 1)}
    for slot, (tokens, length) in starts.items():
        engine.forward([Chunk(slot, tokens[:length], ())])
    sizes = {2: 1, 0: 9, 3: 4, 1: 1}
    chunks = []
    for slot, size in sizes.items():
        tokens, length = starts[slot]
        chunks.append(Chunk(slot, tokens[length : length + size], range(size)))
    together = engine.forward(chunks)
    for chunk, logits in zip(chunks, together, strict=True):
        tokens, length = starts[chunk.slot]
        alone.truncate(0, 0)
        alone.forward([Chunk(0, tokens[:length], ())])
        assert np.array_equal(logits_of(alone, 0, list(chunk.tokens)), logits)


def test_batched_decode_steps_equal_isolated_ones(engine_factory: Any) -> None:
    engine, alone = engine_factory(), engine_factory()
    prompts = [TEXT[:5], OTHER[:11], TEXT[20:23], OTHER[:1]]
    engine.forward([Chunk(slot, prompt, ()) for slot, prompt in enumerate(prompts)])
    steps = [engine.forward([Chunk(slot, [step + 10 * slot + 5]) for slot in range(4)]) for step in range(6)]
    for slot, prompt in enumerate(prompts):
        alone.truncate(0, 0)
        alone.forward([Chunk(0, prompt, ())])
        for step in range(6):
            [logits] = alone.forward([Chunk(0, [step + 10 * slot + 5])])
            assert np.array_equal(logits, steps[step][slot])


def test_slots_that_do_not_take_part_keep_their_content(engine_factory: Any) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    engine.forward([Chunk(1, TEXT[:20], ())])
    engine.forward([Chunk(0, OTHER[:10], ()), Chunk(2, OTHER[:30], ())])
    assert np.array_equal(whole[20:], logits_of(engine, 1, TEXT[20:]))


def test_logits_come_at_the_positions_asked_for(engine_factory: Any) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    some, last, none = engine.forward([Chunk(1, TEXT, [0, 11, 39]), Chunk(2, TEXT), Chunk(3, TEXT, [])])
    assert np.array_equal(some, whole[[0, 11, 39]])
    assert np.array_equal(last, whole[39:])
    assert none.shape == (0, 320)
    assert lengths(engine) == [40, 40, 40, 40]


def test_logits_are_not_overwritten_by_the_next_call(engine_factory: Any) -> None:
    engine = engine_factory()
    [logits] = engine.forward([Chunk(0, TEXT[:10])])
    kept = logits.copy()
    engine.forward([Chunk(0, OTHER[:10])])
    assert np.array_equal(logits, kept)


@pytest.mark.parametrize("length", [0, 1, 20, 38, 39])
def test_truncate_and_replay(engine_factory: Any, length: int) -> None:
    engine = engine_factory()
    if length:
        engine.forward([Chunk(0, TEXT[:length], ())])
    first = logits_of(engine, 0, TEXT[length:])
    engine.forward([Chunk(0, OTHER[:20], ())])
    engine.truncate(0, length)
    assert engine.length(0) == length
    assert np.array_equal(first, logits_of(engine, 0, TEXT[length:]))


def test_a_slot_can_be_filled_to_the_brim(engine_factory: Any) -> None:
    engine, larger = engine_factory(capacity=40), engine_factory(capacity=64)
    assert np.array_equal(logits_of(engine, 0, TEXT), logits_of(larger, 0, TEXT))
    with pytest.raises(SlotFull):
        engine.forward([Chunk(0, [5])])
    assert engine.length(0) == 40


def test_full_slot_changes_nothing(engine_factory: Any) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 1, TEXT)
    engine.truncate(1, 30)
    engine.forward([Chunk(0, TEXT, ())])
    before = lengths(engine)
    with pytest.raises(SlotFull, match="slot 0"):
        engine.forward([Chunk(1, OTHER[:4]), Chunk(0, OTHER[:25]), Chunk(2, OTHER[:4])])
    assert lengths(engine) == before
    assert np.array_equal(whole[30:], logits_of(engine, 1, TEXT[30:]))


@pytest.mark.parametrize(
    "chunks",
    [
        [Chunk(0, [5]), Chunk(4, [5])],
        [Chunk(0, [5]), Chunk(-1, [5])],
        [Chunk(0, [5]), Chunk(1, [5]), Chunk(0, [6])],
        [Chunk(0, [5]), Chunk(1, [])],
        [Chunk(0, [5]), Chunk(1, [5, 320])],
        [Chunk(0, [5]), Chunk(1, [5, -1])],
        [Chunk(0, [5]), Chunk(1, [5, 6], [2])],
        [Chunk(0, [5]), Chunk(1, [5, 6], [-1])],
    ],
    ids=["slot 4", "slot -1", "twice", "empty", "id 320", "id -1", "position 2", "position -1"],
)
def test_bad_calls_are_refused_and_change_nothing(engine_factory: Any, chunks: list[Chunk]) -> None:
    engine = engine_factory()
    with pytest.raises(EngineError):
        engine.forward(chunks)
    assert lengths(engine) == [0, 0, 0, 0]


def test_lengths_that_a_slot_does_not_hold_are_refused(engine_factory: Any) -> None:
    engine = engine_factory()
    engine.forward([Chunk(0, TEXT[:10], ())])
    for length in (-1, 11):
        with pytest.raises(EngineError):
            engine.truncate(0, length)
        with pytest.raises(EngineError):
            engine.copy_out(0, 0, length)
    for begin, end in [(-1, 5), (6, 5)]:
        with pytest.raises(EngineError):
            engine.copy_out(0, begin, end)
    with pytest.raises(EngineError):
        engine.copy_in(1, [engine.copy_out(0, 0, 10)], 11)
    with pytest.raises(EngineError):
        engine.length(4)
    assert lengths(engine) == [10, 0, 0, 0]


def test_foreign_prefix_is_refused(engine_factory: Any) -> None:
    engine = engine_factory()
    engine.forward([Chunk(0, TEXT[:10], ())])
    foreign = dataclasses.replace(engine.copy_out(0, 0, 10), fingerprint="another model")
    with pytest.raises(EngineError, match="another model"):
        engine.copy_in(1, [foreign])
    assert lengths(engine) == [10, 0, 0, 0]


def test_prefix_that_does_not_fit_is_refused(engine_factory: Any) -> None:
    large, small = engine_factory(capacity=64), engine_factory(capacity=16)
    large.forward([Chunk(0, TEXT, ())])
    small.forward([Chunk(0, OTHER[:5], ())])
    with pytest.raises(SlotFull):
        small.copy_in(0, [large.copy_out(0, 0, 40)])
    assert small.length(0) == 5


def test_fork_is_the_same_model_with_slots_of_its_own(engine_factory: Any) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    fork = engine.fork(2)
    try:
        assert dataclasses.replace(engine.facts, slots=2) == fork.facts
        assert lengths(fork) == [0, 0]
        assert np.array_equal(whole, logits_of(fork, 1, TEXT))
        fork.copy_in(0, [engine.copy_out(0, 0, 10)])
        assert np.array_equal(whole[10:], logits_of(fork, 0, TEXT[10:]))
        assert lengths(engine) == [40, 0, 0, 0]
    finally:
        fork.close()


def test_fork_outlives_the_engine_and_the_other_way_round(engine_factory: Any) -> None:
    engine = engine_factory()
    whole = logits_of(engine, 0, TEXT)
    first, second = engine.fork(1), engine.fork(1)
    first.close()
    engine.close()
    assert np.array_equal(whole, logits_of(second, 0, TEXT))
    second.close()


def test_close_is_idempotent_and_final(engine_factory: Any) -> None:
    engine = engine_factory()
    engine.forward([Chunk(0, TEXT, ())])
    prefix = engine.copy_out(0, 0, 10)
    engine.close()
    engine.close()
    uses: list[Callable[[], object]] = [
        lambda: engine.forward([Chunk(1, TEXT)]),
        lambda: engine.length(0),
        lambda: engine.truncate(0, 1),
        lambda: engine.copy_out(0, 0, 10),
        lambda: engine.copy_in(1, [prefix]),
    ]
    for use in uses:
        with pytest.raises(EngineError, match="closed"):
            use()


def test_two_engines_live_side_by_side(engine_factory: Any) -> None:
    left, right = engine_factory(), engine_factory(slots=2, capacity=50)
    whole = logits_of(left, 0, TEXT)
    left.truncate(0, 15)
    assert np.array_equal(whole, logits_of(right, 0, TEXT))
    right.close()
    assert np.array_equal(whole[15:], logits_of(left, 0, TEXT[15:]))


def test_threads_on_different_slots_do_not_disturb_each_other(engine_factory: Any) -> None:
    engine = engine_factory()
    texts = [TEXT, OTHER, TEXT[::-1], OTHER[::-1]]
    expected = []
    for text in texts:
        engine.truncate(0, 0)
        expected.append(logits_of(engine, 0, text))

    def answer(slot: int) -> list[Logits]:
        answers = []
        for _ in range(5):
            engine.truncate(slot, 0)
            chunks = [texts[slot][begin : begin + 5] for begin in range(0, 40, 5)]
            answers.append(np.concatenate([logits_of(engine, slot, chunk) for chunk in chunks]))
        return answers

    with ThreadPoolExecutor(4) as pool:
        for slot, answers in enumerate(pool.map(answer, range(4))):
            assert all(np.array_equal(expected[slot], logits) for logits in answers)
