from __future__ import annotations

import pytest

from edge_autoglm.errors import EngineError, SwapError
from edge_autoglm.swap.generation import Generation
from edge_autoglm.values import SamplingParams
from tests.swap.world import HookedEngine, TokenCounter, answer, first_generation, make_model, scripted
from tests.waiting import wait_until


@pytest.fixture
def engine() -> HookedEngine:
    return HookedEngine(scripted(), TokenCounter())


@pytest.fixture
def generation(engine: HookedEngine) -> Generation:
    return first_generation(make_model(engine))


def test_it_is_freed_when_its_last_lease_ends_after_retirement(generation: Generation, engine: HookedEngine) -> None:
    generation.acquire()
    generation.acquire()
    generation.retire()
    generation.release()
    assert (generation.leases, generation.freed) == (1, False)
    assert answer(generation) == "fine"
    generation.release()
    assert (generation.leases, generation.freed) == (0, True)
    with pytest.raises(EngineError, match="closed"):
        answer(generation)
    generation.retire()
    assert engine.closed == 1


def test_a_lease_that_ends_with_its_request_frees_the_model_from_the_models_own_thread(
    generation: Generation, engine: HookedEngine
) -> None:
    generation.acquire()
    stream = generation.model.stream([5, 6, 7], SamplingParams(max_new_tokens=20))
    stream.future.add_done_callback(lambda _: generation.release())
    generation.retire()
    assert stream.read()
    wait_until(lambda: engine.closed == 1)
    assert (generation.leases, generation.freed) == (0, True)
    assert generation.model.kv.stats.pinned_bytes == 0


def test_leases_that_end_before_retirement_free_nothing(generation: Generation) -> None:
    generation.acquire()
    generation.release()
    assert (generation.leases, generation.freed) == (0, False)
    assert answer(generation) == "fine"


def test_retirement_without_leases_frees_at_once(generation: Generation, engine: HookedEngine) -> None:
    generation.retire()
    assert generation.freed
    assert engine.closed == 1


def test_a_retired_generation_cannot_be_leased(generation: Generation) -> None:
    generation.acquire()
    generation.retire()
    with pytest.raises(SwapError, match="generation 1 is retired"):
        generation.acquire()
    assert generation.leases == 1


def test_a_lease_ends_once(generation: Generation) -> None:
    with pytest.raises(SwapError, match="no lease"):
        generation.release()
