"""A job under way: chunks, their logits, and moving to another slot."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule.job import Append, Job, Steps
from edge_autoglm.runtime.schedule.running import MIN_CHUNK, Running
from edge_autoglm.runtime.schedule.seat import Seat
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, alone, asking, continuing, prompt, slot_tokens


def run_out(running: Running, limits: Sequence[int]) -> tuple[Any, list[Chunk]]:
    """Run a job to its end, with limits taken in turn; its result, and the chunks."""
    chunks: list[Chunk] = []
    while True:
        chunk = running.chunk(limits[len(chunks) % len(limits)])
        chunks.append(chunk)
        [logits] = running.seat.engine.forward([chunk])
        try:
            running.take(chunk, logits)
        except StopIteration as ended:
            return ended.value, chunks


def whole(tokens: Sequence[int], logits_at: Sequence[int]) -> Logits:
    [logits] = ScriptedEngine(VOCAB_SIZE).forward([Chunk(0, tokens, logits_at)])
    return logits


@given(data=st.data(), tokens=st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=120))
def test_chunks_give_the_logits_of_the_whole(data: st.DataObject, tokens: list[int]) -> None:
    logits_at = sorted(data.draw(st.sets(st.integers(0, len(tokens) - 1))))
    limits = data.draw(st.lists(st.integers(MIN_CHUNK, 130), min_size=1, max_size=8))
    running = Running(Job(asking(tokens, logits_at)), 0, Seat(ScriptedEngine(VOCAB_SIZE), 2))
    logits, chunks = run_out(running, limits)
    np.testing.assert_array_equal(logits, whole(tokens, logits_at))
    assert [token for chunk in chunks for token in chunk.tokens] == tokens
    assert slot_tokens(running.seat.engine, 2) == tokens
    if len(tokens) > 1:
        assert min(len(chunk.tokens) for chunk in chunks) >= MIN_CHUNK


@pytest.mark.parametrize(
    ("count", "limit", "lengths"),
    [(9, 4, [4, 5]), (8, 4, [4, 4]), (3, 2, [3]), (2, 2, [2]), (1, 2, [1]), (5, 2, [2, 3]), (5, 9, [5]), (5, 4, [5])],
)
def test_no_single_token_is_split_off(count: int, limit: int, lengths: list[int]) -> None:
    running = Running(Job(asking([1] * count)), 0, Seat(ScriptedEngine(VOCAB_SIZE), 0))
    assert [len(chunk.tokens) for chunk in run_out(running, [limit])[1]] == lengths


class _PagedEngine(ScriptedEngine):
    """Says that its prefill steps compute pages."""

    def __init__(self, page: int) -> None:
        super().__init__(VOCAB_SIZE, capacity=1024)
        self._facts = dataclasses.replace(self._facts, page=page)


def paged(page: int, held: int, count: int, limit: int) -> list[int]:
    """Where the chunks of a prompt end that goes on behind some tokens."""
    engine = _PagedEngine(page)

    def steps(seat: Seat) -> Steps[Logits]:
        return (yield Append.for_last([1] * count))

    if held:
        engine.forward([Chunk(0, [2] * held)])
    chunks = run_out(Running(Job(steps), 0, Seat(engine, 0)), [limit])[1]
    return [held + end for end in accumulate(len(chunk.tokens) for chunk in chunks)]


@pytest.mark.parametrize(
    ("held", "count", "limit", "ends"),
    [
        (0, 100, 8, [32, 64, 96, 100]),
        (0, 100, 80, [64, 100]),
        (10, 60, 8, [32, 64, 70]),
        (10, 60, 32, [32, 64, 70]),
        (31, 60, 8, [64, 91]),
        (0, 65, 40, [32, 65]),
        (0, 40, 40, [40]),
        (5, 20, 20, [25]),
        (5, 20, 8, [25]),
    ],
)
def test_chunks_end_where_pages_do(held: int, count: int, limit: int, ends: list[int]) -> None:
    assert paged(32, held, count, limit) == ends


@given(page=st.sampled_from([1, 4, 32]), held=st.integers(0, 70), count=st.integers(1, 200), limit=st.integers(2, 90))
def test_no_page_is_computed_oftener_than_it_must_be(page: int, held: int, count: int, limit: int) -> None:
    ends = paged(page, held, count, limit)
    starts = [held, *ends[:-1]]
    assert ends[-1] == held + count
    assert all(end % page == 0 for end in ends[:-1])
    assert all(end - start >= MIN_CHUNK for start, end in zip(starts, ends, strict=True)) or count == 1
    assert all(end - start <= max(limit, page + 1) + 1 for start, end in zip(starts, ends, strict=True))


def test_an_ask_without_logits_is_sent_none() -> None:
    running = Running(Job(asking([1] * 10, ())), 0, Seat(ScriptedEngine(VOCAB_SIZE), 0))
    assert run_out(running, [4])[0].shape == (0, VOCAB_SIZE)


def test_how_much_is_left() -> None:
    running = Running(Job(asking([1] * 10, ())), 0, Seat(ScriptedEngine(VOCAB_SIZE), 0))
    assert running.left == 10
    chunk = running.chunk(4)
    running.take(chunk, np.zeros((0, VOCAB_SIZE), dtype=np.float32))
    assert running.left == 6


@pytest.mark.parametrize("steps_before", range(6))
def test_another_slot_changes_nothing(steps_before: int) -> None:
    """Parked after every number of chunks: 3 of the prompt, the others decode; 0 is before anything ran."""
    engine = ScriptedEngine(VOCAB_SIZE, slots=3)
    running = Running(Job(continuing(prompt(1, 12), 4)), 0, Seat(engine, 0))
    for _ in range(steps_before):
        chunk = running.chunk(4)
        running.take(chunk, engine.forward([chunk])[0])
    held = slot_tokens(engine, 0)
    running.park()
    engine.truncate(0, 0)
    engine.forward([Chunk(0, [9] * 30), Chunk(2, [8] * 40)])  # others used both slots since
    running.resume(2)
    assert slot_tokens(engine, 2) == held
    assert run_out(running, [4])[0] == alone(1, 4, 12)


def test_parked_twice_it_holds_what_came_last() -> None:
    engine = ScriptedEngine(VOCAB_SIZE, slots=2)
    running = Running(Job(continuing(prompt(1), 6)), 0, Seat(engine, 0))
    for slot in (1, 0, 1):
        chunk = running.chunk(8)
        running.take(chunk, engine.forward([chunk])[0])
        running.park()
        engine.truncate(running.seat.slot, 0)
        running.resume(slot)
    assert run_out(running, [8])[0] == alone(1, 6)


def test_a_job_without_a_chunk_ends_as_it_begins() -> None:
    def steps(_: Seat) -> Steps[str]:
        if VOCAB_SIZE < 0:
            yield Append.for_last([1])
        return "nothing to run"

    with pytest.raises(StopIteration) as ended:
        Running(Job(steps), 0, Seat(ScriptedEngine(VOCAB_SIZE), 0))
    assert ended.value.value == "nothing to run"


def test_a_stop_runs_what_the_job_leaves_behind() -> None:
    left = []

    def steps(_: Seat) -> Steps[None]:
        try:
            yield Append.for_last([1])
        finally:
            left.append("clean")

    running = Running(Job(steps), 0, Seat(ScriptedEngine(VOCAB_SIZE), 0))
    running.stop()
    running.stop()
    assert left == ["clean"]


def test_what_goes_wrong_in_a_stop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def steps(_: Seat) -> Steps[None]:
        try:
            yield Append.for_last([1])
        finally:
            raise ValueError("oops")

    Running(Job(steps), 0, Seat(ScriptedEngine(VOCAB_SIZE), 0)).stop()
    assert "while it was stopped" in caplog.text
    assert "oops" in caplog.text
