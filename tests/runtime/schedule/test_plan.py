"""Who takes part in a step, by the words of the plan alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule.job import Job
from edge_autoglm.runtime.schedule.plan import BESIDE, SHORT, SIP, plan_step
from edge_autoglm.runtime.schedule.running import MIN_CHUNK, Running
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.values import Priority
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, asking

CRITICAL, NORMAL, BACKGROUND = Priority
CHUNK = 256


def running(*asks: tuple[Priority, int]) -> list[Running]:
    """Jobs in order of arrival, each with the tokens that it asks for."""
    engine = ScriptedEngine(VOCAB_SIZE, slots=len(asks), capacity=2048)
    return [
        Running(Job(asking([1] * count), priority), number, Seat(engine, number))
        for number, (priority, count) in enumerate(asks)
    ]


def planned(jobs: Sequence[Running], chunk: int = CHUNK) -> list[tuple[int, int]]:
    """Number and tokens of each that takes part."""
    return [(job.number, len(job.chunk(limit).tokens)) for job, limit in plan_step(jobs, chunk)]


def test_all_decoding_jobs_run_together() -> None:
    assert planned(running(*[(NORMAL, 1)] * 16)) == [(number, 1) for number in range(16)]


def test_drafts_to_verify_count_as_decoding() -> None:
    assert planned(running((NORMAL, 900), (NORMAL, SHORT), (NORMAL, 900))) == [(1, SHORT), (0, BESIDE)]


def test_a_prompt_that_is_alone_runs_in_whole_chunks() -> None:
    assert planned(running((NORMAL, 1000))) == [(0, CHUNK)]
    assert planned(running((NORMAL, 1000)), 100) == [(0, 100)]


def test_a_prompt_beside_others_runs_in_small_chunks() -> None:
    assert planned(running((NORMAL, 1000), (NORMAL, 1))) == [(1, 1), (0, BESIDE)]
    assert planned(running((NORMAL, 1000), (NORMAL, 1)), 32) == [(1, 1), (0, 32)]


def test_prompts_that_nobody_decodes_beside_run_in_half_chunks() -> None:
    assert planned(running((NORMAL, 500), (NORMAL, 500))) == [(0, CHUNK // 2)]


def test_the_oldest_prompt_goes_first_and_leaves_the_rest_to_the_next() -> None:
    decoding = (NORMAL, 1)
    assert planned(running(decoding, (NORMAL, 500), (NORMAL, 500))) == [(0, 1), (1, BESIDE)]
    assert planned(running(decoding, (NORMAL, 40), (NORMAL, 500), (NORMAL, 500))) == [(0, 1), (1, 40), (2, BESIDE - 40)]
    assert planned(running(decoding, (NORMAL, 20), (NORMAL, 20), (NORMAL, 500))) == [(0, 1), (1, 20), (2, 20), (3, 24)]


def test_no_chunk_is_begun_for_a_few_tokens() -> None:
    assert planned(running((NORMAL, 1), (NORMAL, BESIDE - SHORT), (NORMAL, 500)))[2:] == [(2, SHORT)]
    assert planned(running((NORMAL, 1), (NORMAL, BESIDE - SHORT + 1), (NORMAL, 500)))[2:] == []


def test_no_chunk_leaves_a_few_tokens() -> None:
    assert planned(running((NORMAL, CHUNK + CHUNK // 8 - 1))) == [(0, CHUNK + CHUNK // 8 - 1)]
    assert planned(running((NORMAL, CHUNK + CHUNK // 8))) == [(0, CHUNK)]
    assert planned(running((NORMAL, 1), (NORMAL, BESIDE + 7)))[1:] == [(1, BESIDE + 7)]


def test_work_in_the_background_runs_in_short_steps() -> None:
    assert planned(running((BACKGROUND, 500))) == [(0, BESIDE)]
    assert planned(running((BACKGROUND, 500), (BACKGROUND, 500))) == [(0, BESIDE)]
    assert [tokens for _, tokens in plan_step(running((BACKGROUND, 500)), CHUNK, contended=True)] == [SIP]
    assert [tokens for _, tokens in plan_step(running((NORMAL, 500)), CHUNK, contended=True)] == [CHUNK]


def test_only_the_highest_class_runs() -> None:
    assert planned(running((NORMAL, 1), (CRITICAL, 1), (BACKGROUND, 1), (CRITICAL, 1))) == [(1, 1), (3, 1)]
    assert planned(running((BACKGROUND, 1), (NORMAL, 900))) == [(1, CHUNK)]
    assert planned(running((BACKGROUND, 1), (BACKGROUND, 1))) == [(0, 1), (1, 1)]


@pytest.mark.parametrize("chunk", [2, 3])
def test_the_smallest_chunks_leave_no_job_out_for_ever(chunk: int) -> None:
    assert planned(running((NORMAL, 100), (NORMAL, 100)), chunk) == [(0, MIN_CHUNK)]


_ASKS = st.lists(
    st.tuples(st.sampled_from(Priority), st.integers(1, 40) | st.integers(1, 900)), min_size=1, max_size=12
)


@given(asks=_ASKS, chunk=st.integers(2, 300))
def test_a_step_is_short_serves_the_first_and_splits_off_no_single_token(
    asks: list[tuple[Priority, int]], chunk: int
) -> None:
    jobs = running(*asks)
    first = min(jobs, key=lambda job: job.rank)
    plan = dict(planned(jobs, chunk))
    served = {job.number for job in jobs if job.job.priority == first.job.priority}
    left = {job.number: job.left for job in jobs}
    assert first.number in plan
    assert set(plan) <= served
    assert {number for number in served if left[number] <= SHORT} <= set(plan)
    prompts = {number: count for number, count in plan.items() if left[number] > SHORT}
    decoding = any(left[number] <= SHORT for number in served)
    bound = chunk if len(served) == 1 else min(BESIDE, chunk) if decoding else max(chunk // 2, MIN_CHUNK)
    if first.job.priority == BACKGROUND:
        bound = min(bound, BESIDE)
    assert sum(prompts.values()) <= bound + max(bound // 8, 1)
    assert all(count >= MIN_CHUNK and left[number] - count != 1 for number, count in prompts.items())
