"""Mixed load at the queue's limit, through the public API: nothing is lost, doubled, mixed up or left behind.

A few seconds by default; ``EDGE_AUTOGLM_STRESS_SECONDS=3600`` makes it an hour, and memory is then watched too.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("llguidance")

from edge_autoglm import Bundle, Runtime
from edge_autoglm.facade.config import RuntimeConfig
from tests.stress.conftest import SECONDS
from tests.stress.load import WAIT, Load
from tests.stress.questions import ask_alone
from tests.waiting import wait_until

pytestmark = [pytest.mark.stress, pytest.mark.timeout(SECONDS + 4 * WAIT)]

KV_BUDGET = 48 << 10
"""Bytes: the resident prefixes take 16 KiB, so that conversations push each other out."""

MEMORY_GROWTH = 24 << 20
"""Bytes. The ids of answered decisions are remembered, 100,000 of them, in about 15 MB; the rest is for what malloc
keeps a thread. An hour is about a million requests: a leak of 30 bytes a request would be seen."""


@pytest.fixture(scope="module")
def runtime(bundle: Bundle) -> Iterator[Runtime]:
    config = RuntimeConfig(
        seed=1,
        slots=4,
        context_length=256,
        max_waiting=8,
        promote_every=None,
        prefill_chunk=32,
        kv_cache_bytes=KV_BUDGET,
        response_cache_bytes=4 << 10,
    )
    with Runtime.open(bundle, threads=1, config=config) as opened:
        yield opened


@pytest.fixture(scope="module")
def load(runtime: Runtime, bundle: Bundle) -> Load:
    """That has ended."""
    alone = RuntimeConfig(seed=1, context_length=256, promote_every=None, response_cache_bytes=0)
    with Runtime.open(bundle, threads=1, config=alone) as quiet:
        known = ask_alone(quiet)
    load = Load(runtime, known, SECONDS)
    load.run()
    print(f"{SECONDS:.0f} s: {dict(load.outcomes)}")
    return load


def test_every_request_has_its_own_answer(load: Load) -> None:
    assert load.failures == []


def test_every_request_ends_once(load: Load) -> None:
    wait_until(lambda: load.outcomes["ended"] >= load.outcomes["sent"])
    assert load.outcomes["ended"] == load.outcomes["sent"] > 0


def test_there_was_something_of_everything(load: Load) -> None:
    kinds = {"answered", "overloaded", "late", "cancelled", "streamed", "left stream", "refused", "swapped"}
    assert kinds <= set(load.outcomes)


def test_every_slot_and_every_lease_is_given_back(load: Load, runtime: Runtime) -> None:
    gc.collect()  # streams that were dropped in a cycle
    generation = runtime._buffer.active
    scheduler = generation.model.scheduler
    wait_until(lambda: (scheduler.busy, scheduler.waiting, generation.leases) == (0, 0, 0))


def test_held_kv_stays_within_its_budget(load: Load, runtime: Runtime) -> None:
    stats = runtime.stats.kv
    assert max(load.kv_bytes) <= KV_BUDGET
    assert stats.evictions > 0
    assert stats.tokens_skipped > 0


def test_generations_that_were_replaced_leave_no_thread(load: Load, runtime: Runtime) -> None:
    """Two are kept; each has a thread while it has work, and for a moment afterwards."""
    wait_until(lambda: sum(thread.name == "edge-autoglm-scheduler" for thread in threading.enumerate()) <= 2)


@pytest.mark.skipif(SECONDS < 30, reason="too short to tell growth from warming up: EDGE_AUTOGLM_STRESS_SECONDS=3600")
def test_memory_does_not_grow(load: Load) -> None:
    if not load.rss:
        pytest.skip("the system does not say how much memory a process has")
    growth = load.rss_growth()
    print(f"memory grew by {growth / (1 << 20):.1f} MiB, to {load.rss[-1][1] / (1 << 20):.0f} MiB")
    assert growth < MEMORY_GROWTH


def test_closing_under_way_ends_everything(bundle: Bundle) -> None:
    """Requests that run go on to their end, new ones are refused, and the last one closes the engine."""
    config = RuntimeConfig(seed=1, slots=2, context_length=256, max_waiting=64, promote_every=None)
    runtime = Runtime.open(bundle, threads=1, config=config)
    model = runtime._buffer.active.model
    expected = runtime.generate("the film", max_new_tokens=30).text
    futures = [runtime.submit_generate("the film", max_new_tokens=30) for _ in range(20)]
    runtime.close()
    assert [future.result(WAIT).text for future in futures] == [expected] * 20
    wait_until(lambda: model.scheduler._closed and not model.scheduler.busy)
