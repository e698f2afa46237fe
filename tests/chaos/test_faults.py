"""A fault at every stage of a swap: the active generation goes on, and so does the next swap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm import HealthPolicy, Rejected, RolledBack, Runtime, Swapped
from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import SwapOutcome
from edge_autoglm.swap.policy import CanaryPolicy, ShadowPolicy, SwapPolicy, TripwirePolicy
from edge_autoglm.swap.ticket import SwapTicket
from tests.facade.scripted import open_scripted
from tests.swap.world import HookedEngine, asking, lookalike, make_model, next_generation, not_a_number, scripted
from tests.waiting import wait_until

POLICY = SwapPolicy(
    HealthPolicy(max_latency_ratio=None),
    ShadowPolicy(requests=3, min_agreement=0.5),
    CanaryPolicy(requests=8, share=0.5),
    TripwirePolicy(requests=200),
)
FAULTS: dict[str, Callable[[Sequence[Chunk], list[Logits]], list[Logits]]] = {"garbage": not_a_number}


def no_memory(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
    raise MemoryError("64 MiB")


def broken(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
    raise EngineError("the device is gone", "Start again.")


FAULTS |= {"no memory": no_memory, "device lost": broken}


class Candidate:
    """Makes a generation whose engine has a fault from some stage on."""

    def __init__(
        self, runtime: Runtime, stage: str, fault: Callable[[Sequence[Chunk], list[Logits]], list[Logits]]
    ) -> None:
        self.runtime, self.stage, self.fault = runtime, stage, fault
        self.ticket: SwapTicket | None = None
        self.built: list[Generation] = []

    def build(self, active: Generation) -> Generation:
        if self.stage == "build":
            self.fault([], [])
        engine = HookedEngine(lookalike(), self._hook)
        number = self.runtime._buffer.next_number()
        self.built.append(next_generation(active, number, model=make_model(engine)))
        return self.built[-1]

    def _hook(self, chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
        stage = "build" if self.ticket is None else self.ticket.stage
        return self.fault(chunks, logits) if stage == self.stage else logits


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    variant = asking("asked", "Say how it was.")
    with open_scripted(scripted(slots=4), variant, swap_policy=POLICY, response_cache_bytes=0) as opened:
        yield opened


def ask_until(runtime: Runtime, done: Callable[[], bool]) -> int:
    """Ask two at a time; how many requests failed."""
    failed = 0

    def ask(_: int) -> bool:
        try:
            assert runtime.run("reply", {"text": "It was late."}, variant="asked").text == "fine"
        except Exception:
            return True
        return False

    with ThreadPoolExecutor(2) as pool:
        while not done():
            failed += sum(pool.map(ask, range(4)))
    return failed


def swap_under_traffic(runtime: Runtime, candidate: Candidate) -> tuple[SwapOutcome, int]:
    """The outcome, and how many requests failed meanwhile."""
    candidate.ticket = ticket = runtime._swapper.submit(candidate.build)
    failed = ask_until(runtime, ticket.done)
    return ticket.result(), failed


@pytest.mark.parametrize("fault", ["no memory", "device lost", "garbage"])
@pytest.mark.parametrize("stage", ["build", "check", "shadow", "canary", "ended"])
def test_a_fault_at_a_stage(runtime: Runtime, stage: str, fault: str) -> None:
    if (stage, fault) == ("build", "garbage"):
        pytest.skip("nothing is computed yet that could be garbage")
    candidate = Candidate(runtime, stage, FAULTS[fault])
    outcome, failed = swap_under_traffic(runtime, candidate)
    if stage == "ended":  # live, and bad from then on
        assert isinstance(outcome, Swapped)
        failed += ask_until(runtime, lambda: runtime.generation != outcome.generation)
        wait_until(lambda: runtime.swap_outcomes[-1] != Swapped(outcome.generation))  # noted once it is back
        outcome = runtime.swap_outcomes[-1]
    assert isinstance(outcome, RolledBack if stage in ("canary", "ended") else Rejected)
    assert (failed > 0) == (stage in ("canary", "ended"))
    assert failed < 30
    assert ask_until(runtime, lambda: True) == 0
    wait_until(lambda: all(generation.freed for generation in candidate.built))
    assert isinstance(swap_under_traffic(runtime, Candidate(runtime, "never again", not_a_number))[0], Swapped)
