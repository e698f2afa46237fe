"""Shadow, canary, tripwires, cancellation and drain, with a hand on every request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pytest

from edge_autoglm.errors import StateNotWritable
from edge_autoglm.facade.futures import finished
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import HealthPolicy
from edge_autoglm.swap.outcome import Cancelled, DrainTimedOut, Rejected, RolledBack, Swapped
from edge_autoglm.swap.policy import CanaryPolicy, DrainPolicy, ShadowPolicy, SwapPolicy
from edge_autoglm.swap.swapper import Swapper
from edge_autoglm.swap.traffic import Served, Traffic
from tests.swap.world import first_generation, next_generation
from tests.waiting import wait_until

WAIT = 30.0
CHECK = HealthPolicy(max_latency_ratio=None)
CANARY = SwapPolicy(CHECK, canary=CanaryPolicy(requests=30, share=0.5))


@dataclass
class Book:
    """A ledger that remembers what it was told."""

    lines: list[str] = field(default_factory=list)

    def propose(self, candidate: Generation, parent: Generation) -> None:
        self.lines.append(f"propose {candidate.number} after {parent.number}")

    def activate(self, number: int, metrics: Mapping[str, float]) -> None:
        self.lines.append(f"activate {number}")

    def give_up(self, number: int, reason: str, instead: int | None) -> None:
        self.lines.append(f"give up {number}, {instead} instead")


class World:
    """A swapper, and requests that end as a test says."""

    def __init__(self, policy: SwapPolicy) -> None:
        self.buffer, self.traffic, self.book = DoubleBuffer(first_generation()), Traffic(), Book()
        self.swapper = Swapper(self.buffer, policy, self.traffic, self.book)
        self.requests = 0

    def serve(self, bad: Callable[[Generation], bool] = lambda _: False, session: str | None = None) -> int:
        """One request, which fails where ``bad`` says so; number of the generation that it ran on."""
        self.requests += 1
        with self.buffer.lease_for(session, lambda _: True) as lease:
            failed = bad(lease.generation)
            number = lease.generation.number
        request = Served(number, 0.1, failed, False, lease.canary, lease.first)
        self.traffic.served(request, f"d{self.requests}")
        return number

    def close(self) -> None:
        self.swapper.close()
        self.buffer.close()


@pytest.fixture
def open_world() -> Iterator[Callable[[SwapPolicy], World]]:
    with ExitStack() as stack:

        def opened(policy: SwapPolicy) -> World:
            world = World(policy)
            stack.callback(world.close)
            return world

        yield opened


Opened = Callable[[SwapPolicy], World]


def test_a_canary_answers_its_share_and_goes_live(open_world: Opened) -> None:
    world = open_world(CANARY)
    ticket = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    assert ticket.stage == "canary"
    served: list[int] = []
    while world.buffer.canary is not None:
        served.append(world.serve())
    assert ticket.result(WAIT) == Swapped(2)
    assert served.count(2) >= 30
    assert served.count(1) > 5
    assert world.book.lines == ["propose 2 after 1", "activate 2"]
    assert world.serve() == 2


def test_a_session_stays_on_its_side(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=10_000, share=0.3)))
    ticket = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    sides = {f"s{number}": {world.serve(session=f"s{number}") for _ in range(5)} for number in range(200)}
    assert all(len(seen) == 1 for seen in sides.values())
    assert 30 < sum(2 in seen for seen in sides.values()) < 90
    ticket.cancel()
    assert ticket.result(WAIT) == Cancelled("canary")


def test_one_session_alone_proves_nothing(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=10_000, share=0.5)))
    ticket = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    unlucky = next(f"s{n}" for n in range(50) if world.serve(session=f"s{n}") == 2)
    for _ in range(300):
        world.serve(lambda generation: generation.number == 2, session=unlucky)
    assert world.buffer.canary is not None
    ticket.cancel()


def test_a_canary_that_fails_is_taken_back_before_it_is_live(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=1000, share=0.2)))
    ticket = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    served = []
    while world.buffer.canary is not None and len(served) < 1000:
        served.append(world.serve(lambda generation: generation.number == 2))
    outcome = ticket.result(WAIT)
    assert isinstance(outcome, RolledBack)
    assert outcome.generation == 1
    assert "errors" in outcome.reason
    assert served.count(2) < 0.4 * len(served)
    assert world.book.lines == ["propose 2 after 1", "give up 2, 1 instead"]
    assert {world.serve() for _ in range(20)} == {1}


def test_bad_feedback_takes_a_canary_back(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=10_000, share=0.5)))
    ticket = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    for _ in range(2000):
        if world.buffer.canary is None:
            break
        number = world.serve()
        world.traffic.rewarded(f"d{world.requests}", 1.0 if number == 1 else 0.0)
    outcome = ticket.result(WAIT)
    assert isinstance(outcome, RolledBack)
    assert "reward" in outcome.reason


def test_a_canary_without_traffic_is_taken_back(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=5, max_seconds=0.05)))
    outcome = world.swapper.submit(next_generation).result(WAIT)
    assert outcome == RolledBack("canary: it answered 0 of 5 requests in time", 1)
    assert world.buffer.canary is None


def test_requests_that_only_one_generation_can_answer_take_no_part(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=5, share=0.5)))
    ticket = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    for _ in range(50):
        with world.buffer.lease_for(None, lambda generation: generation.number == 1) as lease:
            assert (lease.generation.number, lease.canary) == (1, None)
    ticket.cancel()


def test_a_rollback_ends_the_canary_of_what_is_given_up(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=10, share=0.5)))
    first = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    while not first.done():
        world.serve()
    second = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    assert world.swapper.rollback("by hand") == RolledBack("by hand", 1)
    assert {world.serve() for _ in range(20)} == {1}
    outcome = second.result(WAIT)
    assert isinstance(outcome, Rejected)
    assert "given up" in outcome.reason
    assert [type(each) for each in world.swapper.outcomes] == [Swapped, RolledBack, Rejected]


def test_a_tripwire_takes_a_live_generation_back(open_world: Opened) -> None:
    world = open_world(SwapPolicy(CHECK))
    for _ in range(50):
        world.serve()
    assert world.swapper.submit(next_generation).result(WAIT) == Swapped(2)
    served = []
    while world.buffer.active.number == 2 and len(served) < 100:
        served.append(world.serve(lambda generation: generation.number == 2))
    wait_until(lambda: len(world.swapper.outcomes) == 2)
    assert len(served) < 100
    assert world.swapper.outcomes[1] == RolledBack("more requests fail than before generation 2", 1)
    assert world.book.lines == ["propose 2 after 1", "activate 2", "give up 2, 1 instead"]
    assert {world.serve() for _ in range(20)} == {1}


def agreeing(value: float | Exception) -> Callable[[Generation], Future[float]]:
    def ask(candidate: Generation) -> Future[float]:
        if isinstance(value, Exception):
            raise value
        return finished(value)

    return ask


def offer(world: World, *answers: float | Exception) -> None:
    """One answer after another, until the stage is over."""
    shown = iter(answers)
    wait_until(lambda: world.swapper.shadow is not None)
    for answer in shown:
        shadow = world.swapper.shadow
        if shadow is None:
            return
        shadow.offer(agreeing(answer))
        wait_until(lambda seen=shadow.compared: world.swapper.shadow is None or world.swapper.shadow.compared > seen)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ((1.0, 0.0, 1.0, 0.0, 1.0), "agreement 0.6 is below min_agreement 0.8"),
        ((1.0, ValueError("no")), "shadow: ValueError: no"),
    ],
)
def test_a_shadow_that_disagrees_or_fails_is_rejected(
    open_world: Opened, answers: tuple[float | Exception, ...], told: str
) -> None:
    world = open_world(SwapPolicy(CHECK, shadow=ShadowPolicy(requests=5)))
    ticket = world.swapper.submit(next_generation)
    offer(world, *answers)
    outcome = ticket.result(WAIT)
    assert isinstance(outcome, Rejected)
    assert told in outcome.reason
    assert world.book.lines == []


def test_a_shadow_that_agrees_goes_on_and_one_that_nobody_asks_does_not(open_world: Opened) -> None:
    world = open_world(SwapPolicy(CHECK, shadow=ShadowPolicy(requests=3, max_seconds=2.0)))
    ticket = world.swapper.submit(next_generation)
    offer(world, 1.0, 1.0, 1.0)
    assert ticket.result(WAIT) == Swapped(2)
    lonely = open_world(SwapPolicy(CHECK, shadow=ShadowPolicy(requests=3, max_seconds=0.01)))
    outcome = lonely.swapper.submit(next_generation).result(WAIT)
    assert outcome == Rejected("shadow: only 0 of 3 requests came in time")


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_a_swap_can_be_cancelled_and_leaves_nothing(open_world: Opened, stage: str) -> None:
    slow = SwapPolicy(CHECK, ShadowPolicy(requests=5 * (stage == "shadow")), CanaryPolicy(requests=5))
    world = open_world(slow)
    built: list[Generation] = []

    def build(active: Generation) -> Generation:
        built.append(next_generation(active))
        return built[0]

    ticket = world.swapper.submit(build)
    wait_until(lambda: ticket.stage == stage)
    assert ticket.cancel()
    assert ticket.result(WAIT) == Cancelled(stage)
    assert ticket.stage == "ended"
    assert built[0].freed
    assert {world.serve() for _ in range(20)} == {1}
    assert not ticket.cancel()


def test_a_swap_that_waits_can_be_cancelled(open_world: Opened) -> None:
    world = open_world(SwapPolicy(CHECK))
    proceed = threading.Event()

    def build(active: Generation) -> Generation:
        assert proceed.wait(WAIT)
        return next_generation(active)

    running, waiting = world.swapper.submit(build), world.swapper.submit(next_generation)
    waiting.cancel()
    proceed.set()
    assert running.result(WAIT) == Swapped(2)
    assert waiting.result(WAIT) == Cancelled("waiting")


def test_a_drain_that_takes_too_long_is_told_and_the_swap_is_live(open_world: Opened) -> None:
    world = open_world(SwapPolicy(CHECK, drain=DrainPolicy(0.05)))
    with world.buffer.lease():
        assert world.swapper.submit(next_generation).result(WAIT) == Swapped(2)  # generation 1 is kept for a rollback
        assert world.swapper.submit(next_generation).result(WAIT) == DrainTimedOut(3, waiting_for=1, requests=1)
        assert world.buffer.active.number == 3
    assert world.swapper.submit(next_generation).result(WAIT) == Swapped(4)


def full(number: int, metrics: Mapping[str, float]) -> None:
    raise StateNotWritable("the disk is full", "Free some space.")


def test_a_disk_that_is_full_when_a_canary_has_passed_ends_the_canary(open_world: Opened) -> None:
    world = open_world(replace(CANARY, canary=CanaryPolicy(requests=5, share=0.5)))
    world.book.activate = full  # type: ignore[method-assign]
    ticket = world.swapper.submit(next_generation)
    wait_until(lambda: world.buffer.canary is not None)
    while not ticket.done():
        world.serve()
    assert isinstance(ticket.result(WAIT), Rejected)
    assert world.buffer.canary is None
    assert {world.serve() for _ in range(30)} == {1}


def test_a_ledger_that_cannot_be_written_keeps_the_active_generation(open_world: Opened) -> None:
    world = open_world(SwapPolicy(CHECK))
    world.book.activate = full  # type: ignore[method-assign]
    outcome = world.swapper.submit(next_generation).result(WAIT)
    assert outcome == Rejected("the disk is full. Free some space.")
    assert world.buffer.active.number == 1
    assert world.book.lines == ["propose 2 after 1", "give up 2, 1 instead"]
