from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from edge_autoglm.errors import EngineError, SwapError
from edge_autoglm.prompts import Variant
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import HealthPolicy
from edge_autoglm.swap.outcome import Cancelled, Rejected, RolledBack, SwapOutcome, Swapped
from edge_autoglm.swap.policy import SwapPolicy
from edge_autoglm.swap.swapper import Swapper
from tests.checkpoints import VOCAB_SIZE
from tests.swap.world import (
    EOS,
    TOKENIZER,
    HookedEngine,
    SteppedClock,
    TokenCounter,
    answer,
    first_generation,
    lookalike,
    make_catalogue,
    make_model,
    make_policy,
    next_generation,
    not_a_number,
    scripted,
)

WAIT = 30.0
"""Seconds after which a test that hangs fails."""


@pytest.fixture
def buffer() -> DoubleBuffer:
    return DoubleBuffer(first_generation())


@pytest.fixture
def swapper(buffer: DoubleBuffer) -> Iterator[Swapper]:
    swapper = Swapper(buffer, SwapPolicy(check=HealthPolicy(max_latency_ratio=None)))
    yield swapper
    swapper.close()
    buffer.close()


def outcome_of(swapper: Swapper, build: Callable[[Generation], Generation]) -> SwapOutcome:
    return swapper.submit(build).result(WAIT)


def test_a_good_candidate_goes_live(swapper: Swapper, buffer: DoubleBuffer) -> None:
    assert outcome_of(swapper, lambda active: next_generation(active, policy=make_policy(1))) == Swapped(2)
    with buffer.lease() as leased:
        assert leased.number == 2
        assert answer(leased) == "fine"


def test_candidates_are_built_in_turn_from_what_is_active_then(swapper: Swapper) -> None:
    parents: list[int] = []

    def build(active: Generation) -> Generation:
        parents.append(active.number)
        return next_generation(active)

    outcomes = [swapper.submit(build) for _ in range(4)]
    assert [outcome.result(WAIT) for outcome in outcomes] == [Swapped(number) for number in (2, 3, 4, 5)]
    assert parents == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SwapError("the cause", "Cure it."), "the cause. Cure it."),
        (KeyError("weights"), "KeyError: 'weights'"),
        (MemoryError("64 MiB"), "MemoryError: 64 MiB"),
    ],
)
def test_a_build_that_fails_is_rejected_with_its_cause(
    swapper: Swapper, buffer: DoubleBuffer, error: Exception, reason: str
) -> None:
    def build(active: Generation) -> Generation:
        raise error

    assert outcome_of(swapper, build) == Rejected(reason)
    assert buffer.active.number == 1
    assert buffer.active.leases == 0


def test_a_broken_template_is_rejected_and_its_model_freed(swapper: Swapper, buffer: DoubleBuffer) -> None:
    engine = HookedEngine(ScriptedEngine(VOCAB_SIZE), TokenCounter())
    broken = Variant("broken", prompt="{{ raise_exception('no such luck') }}")

    def build(active: Generation) -> Generation:
        return next_generation(active, model=make_model(engine), catalogue=make_catalogue(broken))

    outcome = outcome_of(swapper, build)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("task reply, variant broken: ")
    assert "no such luck" in outcome.reason
    assert engine.closed == 1


def test_a_candidate_that_fails_its_check_is_freed_and_the_active_one_untouched(
    swapper: Swapper, buffer: DoubleBuffer
) -> None:
    built: list[Generation] = []

    def build(active: Generation) -> Generation:
        built.append(next_generation(active, model=make_model(ScriptedEngine(VOCAB_SIZE, script={(): EOS}))))
        return built[0]

    outcome = outcome_of(swapper, build)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == (
        "task reply, variant plain, probe 1: answers nothing (ended by eos); "
        "task reply, variant plain, probe 2: answers nothing (ended by eos); "
        "task reply, variant asked, probe 1: answers nothing (ended by eos); and 1 more"
    )
    assert built[0].freed
    assert buffer.active.number == 1
    assert answer(buffer.active) == "fine"


@pytest.mark.parametrize(
    ("engine", "cause"),
    [
        (HookedEngine(lookalike(), not_a_number), "a logit of nan"),
        (ScriptedEngine(VOCAB_SIZE, script={(): TOKENIZER.encode("a")[0]}), "the same token over and over"),
        (ScriptedEngine(50), "outside the vocabulary of 50"),
        (ScriptedEngine(VOCAB_SIZE + 1), "tokenizer or vocabulary"),
        (scripted(seed=5), "mean KL"),
    ],
    ids=["not a number", "loop", "small vocabulary", "other vocabulary", "other model"],
)
def test_a_bad_model_is_rejected_with_the_cause(
    swapper: Swapper, buffer: DoubleBuffer, engine: Engine, cause: str
) -> None:
    outcome = outcome_of(swapper, lambda active: next_generation(active, model=make_model(engine)))
    assert isinstance(outcome, Rejected)
    assert cause in outcome.reason
    with pytest.raises(EngineError, match="closed"):
        engine.truncate(0, 0)
    assert answer(buffer.active) == "fine"


def test_a_slow_model_is_rejected_with_the_cause() -> None:
    clock = SteppedClock()
    buffer = DoubleBuffer(first_generation(make_model(clock.engine(scripted(), [0.01]))))
    swapper = Swapper(buffer, clock=clock)
    outcome = outcome_of(
        swapper, lambda active: next_generation(active, model=make_model(clock.engine(lookalike(), [0.04])))
    )
    assert outcome == Rejected(
        "latency: a prefill takes 4 and a decode step 4 times as long as the active generation's, above "
        "max_latency_ratio 2.5"
    )
    swapper.close()


def test_a_candidate_that_is_the_active_generation_is_rejected_without_freeing_it(
    swapper: Swapper, buffer: DoubleBuffer
) -> None:
    outcome = outcome_of(swapper, lambda active: active)
    assert outcome == Rejected("generation 1 uses the model object of the active one; fork it")
    assert answer(buffer.active) == "fine"


def test_rollback_restores_answers_and_policy(swapper: Swapper, buffer: DoubleBuffer) -> None:
    first = buffer.active
    policy = make_policy(1)
    outcome_of(swapper, lambda active: next_generation(active, policy=policy))
    assert buffer.active.policy is policy
    assert swapper.rollback("it got worse") == RolledBack("it got worse", 1)
    assert buffer.active is first
    assert answer(buffer.active) == "fine"


def test_rollback_does_not_wait_for_a_build_and_what_is_being_built_is_rejected(
    swapper: Swapper, buffer: DoubleBuffer
) -> None:
    outcome_of(swapper, next_generation)
    building, proceed = threading.Event(), threading.Event()
    built: list[Generation] = []

    def build(active: Generation) -> Generation:
        building.set()
        assert proceed.wait(WAIT)
        built.append(next_generation(active))
        return built[0]

    future = swapper.submit(build)
    assert building.wait(WAIT)
    failed = buffer.active
    assert swapper.rollback("it got worse") == RolledBack("it got worse", 1)
    assert (failed.leases, failed.freed) == (1, False), "the build still reads it"
    proceed.set()
    outcome = future.result(WAIT)
    assert isinstance(outcome, Rejected)
    assert "generation 3 was built on generation 2, but 1 became active meanwhile" in outcome.reason
    assert (built[0].freed, failed.freed) == (True, True)
    assert buffer.active.number == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_not_swallowed_and_the_swapper_lives_on(
    swapper: Swapper, interrupt: type[BaseException]
) -> None:
    def build(active: Generation) -> Generation:
        raise interrupt

    with pytest.raises(interrupt):
        outcome_of(swapper, build)
    assert outcome_of(swapper, next_generation) == Swapped(2)


def test_an_interrupt_in_the_check_frees_the_candidate(swapper: Swapper, buffer: DoubleBuffer) -> None:
    def interrupted(chunks: object, logits: object) -> list[object]:
        raise KeyboardInterrupt

    built: list[Generation] = []

    def build(active: Generation) -> Generation:
        candidate = next_generation(active, model=make_model(HookedEngine(ScriptedEngine(VOCAB_SIZE), TokenCounter())))
        candidate.model.engine.hook = interrupted  # type: ignore[attr-defined]
        built.append(candidate)
        return candidate

    with pytest.raises(KeyboardInterrupt):
        outcome_of(swapper, build)
    assert built[0].freed
    assert buffer.active.number == 1


def submit_until_refused(swapper: Swapper) -> None:
    while True:
        swapper.submit(next_generation)


def standby_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("edge-autoglm-standby")}


def test_closing_ends_the_thread_and_answers_everyone_who_waits(buffer: DoubleBuffer) -> None:
    before = standby_threads()
    swapper = Swapper(buffer)
    building, proceed = threading.Event(), threading.Event()

    def build(active: Generation) -> Generation:
        building.set()
        assert proceed.wait(WAIT)
        return next_generation(active)

    running, waiting = swapper.submit(build), swapper.submit(next_generation)
    assert building.wait(WAIT)
    [thread] = standby_threads() - before
    closing = threading.Thread(target=swapper.close)
    closing.start()
    # The build goes on only once nothing more is accepted, so that what waits is certain to find the swapper closed.
    with pytest.raises(SwapError, match="closed"):
        submit_until_refused(swapper)
    assert closing.is_alive(), "the build still runs"
    proceed.set()
    closing.join(WAIT)
    assert running.result(WAIT) == Cancelled("build")
    assert waiting.result(WAIT) == Cancelled("waiting")
    assert not thread.is_alive()
    assert standby_threads() == before


def test_a_closed_buffer_rejects_the_candidate(swapper: Swapper, buffer: DoubleBuffer) -> None:
    buffer.close()
    outcome = outcome_of(swapper, next_generation)
    assert isinstance(outcome, Rejected)
    assert "closed" in outcome.reason
