"""Many requests: their order, their priorities, and what happens where there are too many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from edge_autoglm import Runtime
from edge_autoglm.errors import DeadlineExceeded, InputRejected, Overloaded, RequestError
from edge_autoglm.values import Priority
from tests.facade.scripted import ASKED, busy, gated, open_scripted, wait_for_idle
from tests.swap.world import TOKENIZER
from tests.waiting import WAIT, GatedEngine, wait_past, wait_until

TEXTS = [f"film number {number} was good" for number in range(50)]


@pytest.fixture
def engine() -> GatedEngine:
    return gated(slots=1, answers={"Answer:": " good and great"})


@pytest.fixture
def runtime(engine: GatedEngine) -> Iterator[Runtime]:
    with open_scripted(engine, max_waiting=4, response_cache_bytes=0) as opened:
        yield opened
        engine.open_gate()


def test_replies_come_in_the_order_of_the_inputs(runtime: Runtime) -> None:
    replies = runtime.run_many("mood", ({"text": text} for text in TEXTS), variant="chat")
    alone = [runtime.run("mood", {"text": text}, variant="chat") for text in TEXTS]
    assert [reply.scores for reply in replies] == [reply.scores for reply in alone]
    assert len({tuple(reply.scores.values()) for reply in replies}) > 40, "no two texts are answered alike"
    assert len({reply.id for reply in replies}) == len(TEXTS)
    for reply in replies[::10]:
        runtime.feedback(reply.id, 1.0)
    assert sum(arm.feedbacks for arm in runtime.learner.status().arms) == 5


def test_the_policy_chooses_for_each_of_many(runtime: Runtime) -> None:
    replies = runtime.run_many("mood", [{"text": text} for text in TEXTS], {"battery": 0.5})
    assert {reply.variant for reply in replies} == {"plain", "chat"}


def test_scores_come_in_the_order_of_the_prompts(runtime: Runtime) -> None:
    labels = [" good", " a bad film"]
    scores = runtime.score_many(iter(TEXTS), labels)
    assert scores == [runtime.score(text, labels) for text in TEXTS]
    assert runtime.score_many([], labels) == []


def test_one_bad_input_ends_the_call_and_leaves_nothing_behind(runtime: Runtime) -> None:
    inputs: list[dict[str, str]] = [{"text": text} for text in TEXTS[:3]]
    with pytest.raises(InputRejected):
        runtime.run_many("mood", [*inputs, {"txt": "x"}, *inputs])
    wait_for_idle(runtime)
    assert runtime.run("mood", ASKED).label


def finished_in_order(futures: dict[str, Future[Any]], engine: GatedEngine) -> list[str]:
    """Names of the requests as they end once the engine runs."""
    order: list[str] = []
    for name, future in futures.items():
        future.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
    engine.open_gate()
    for future in futures.values():
        future.result(WAIT)
    return order


def test_a_higher_priority_is_served_first(runtime: Runtime, engine: GatedEngine) -> None:
    engine.hold()
    before = len(engine.passes)
    running = runtime.submit_generate("Text. Answer:", priority=Priority.NORMAL)
    wait_until(lambda: len(engine.passes) > before)
    futures: dict[str, Future[Any]] = {
        "background": runtime.submit("mood", ASKED, priority=Priority.BACKGROUND),
        "running": running,
        "normal": runtime.submit_generate("Answer:", priority=Priority.NORMAL),
        "critical": runtime.submit("mood", {"text": "Urgent!"}, priority=Priority.CRITICAL),
    }
    assert finished_in_order(futures, engine) == ["critical", "running", "normal", "background"]
    assert running.result().text == futures["normal"].result().text == " good and great"


def test_a_request_that_gave_way_answers_as_if_it_had_not(runtime: Runtime, engine: GatedEngine) -> None:
    settings: dict[str, Any] = {"max_new_tokens": 30, "temperature": 1.0, "seed": 4}
    alone = runtime.generate("the movie", **settings).text
    engine.hold()
    before = len(engine.passes)
    stream = runtime.submit_generate("the movie", **settings)
    for number in range(5):
        engine.wait_for_pass(before + 3 * number + 1)  # the stream's own; then two of the urgent request
        urgent = runtime.submit_generate(f"{number} Answer:", max_new_tokens=2, priority=Priority.CRITICAL)
        engine.let(3)
        assert urgent.result(WAIT).text == " good and"
        assert not stream.done()
    engine.open_gate()
    assert stream.result(WAIT).text == alone


def test_too_many_requests_are_refused_at_once_whatever_they_ask(runtime: Runtime, engine: GatedEngine) -> None:
    engine.hold()
    before = len(engine.passes)
    futures = [runtime.submit("mood", ASKED)]
    wait_until(lambda: len(engine.passes) > before)
    futures += [runtime.submit("mood", {"text": text}) for text in TEXTS[:4]]
    asks = (
        lambda: runtime.run("mood", ASKED),
        lambda: runtime.stream("reply", ASKED),
        lambda: runtime.generate("x"),
        lambda: runtime.generate_stream("x"),
        lambda: runtime.score("x", ["y"]),
        lambda: runtime.run_many("mood", [ASKED]),
        lambda: runtime.sample("x", 1),
    )
    for ask in asks:
        with pytest.raises(Overloaded, match="4 requests wait already"):
            ask()
    assert busy(runtime) == (1, 4, 5)
    engine.open_gate()
    assert all(future.result(WAIT).label for future in futures)
    wait_for_idle(runtime)


def test_deadlines_hold_for_every_kind_of_request(runtime: Runtime, engine: GatedEngine) -> None:
    engine.hold()
    before = len(engine.passes)
    running = runtime.submit_generate("the movie", max_new_tokens=400)
    engine.wait_for_pass(before + 1)
    stream = runtime.generate_stream("x", deadline=0.01)
    futures: list[Future[Any]] = [
        runtime.submit("mood", ASKED, deadline=0.01),
        runtime.submit_generate("x", deadline=0.01),
        runtime.submit("reply", ASKED, deadline=0.01),
    ]
    wait_past(0.01)
    engine.let(1)
    for future in futures:
        with pytest.raises(DeadlineExceeded):
            future.result(WAIT)
    with pytest.raises(DeadlineExceeded):
        next(stream)
    running.cancel()
    engine.open_gate()
    wait_for_idle(runtime)
    assert runtime.run("mood", ASKED, deadline=1000.0).label


def test_a_slot_that_does_not_become_free_is_an_error() -> None:
    engine = gated(slots=1)
    with open_scripted(engine, slot_timeout=0.2) as runtime:
        engine.hold()
        before = len(engine.passes)
        running = runtime.submit_generate("the movie", max_new_tokens=400)
        engine.wait_for_pass(before + 1)
        late = runtime.submit("mood", ASKED)
        wait_past(0.2)
        engine.let(1)
        with pytest.raises(RequestError, match="became free"):
            late.result(WAIT)
        running.cancel()
        engine.open_gate()


@pytest.mark.parametrize("call", ["run_many", "sample"])
def test_a_call_for_many_is_not_refused_for_its_own_requests(call: str) -> None:
    engine = gated(slots=2)
    with open_scripted(engine, max_waiting=1) as runtime:
        if call == "run_many":
            assert len(runtime.run_many("mood", [{"text": text} for text in TEXTS])) == len(TEXTS)
        else:
            samples = runtime.sample("the movie", 40, temperature=1.0, max_new_tokens=4, seed=1)
            assert len(samples.completions) == 40
        wait_for_idle(runtime)


def test_requests_that_begin_alike_share_what_was_computed(runtime: Runtime, engine: GatedEngine) -> None:
    """Of what a variant says before the input, nothing runs for any request."""
    static = runtime._buffer.active.resident["mood", "chat"].tokens
    before = len(engine.passes)
    replies = runtime.run_many("mood", [{"text": text} for text in TEXTS[:8]], variant="chat")
    assert {reply.usage.num_cached_tokens for reply in replies} == {static}
    ran = sum(len(chunk.tokens) for chunks in engine.passes[before:] for chunk in chunks)
    prompts = sum(reply.usage.prompt_tokens - static for reply in replies)
    behind = max(len(TOKENIZER.encode(label)) for label in ("good", "bad"))
    assert prompts <= ran <= prompts + 8 * 2 * behind
