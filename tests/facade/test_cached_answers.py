"""Answers to exact repetitions: nothing runs for them, and they are requests like any other to the learner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge_autoglm import Runtime, Swapped
from edge_autoglm.errors import DeadlineExceeded, RequestError
from edge_autoglm.prompts import Variant
from edge_autoglm.values import FeedbackOutcome, SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.facade.scripted import ASKED, gated, open_scripted, wait_for_idle
from tests.runtime.engines_for_tests import CountingEngine
from tests.waiting import WAIT, wait_past


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine(VOCAB_SIZE)


@pytest.fixture
def runtime(engine: CountingEngine) -> Iterator[Runtime]:
    with open_scripted(engine) as opened:
        yield opened


@pytest.mark.parametrize(("task", "variant"), [("mood", "chat"), ("reply", "plain")])
def test_a_repetition_is_answered_without_a_pass(
    runtime: Runtime, engine: CountingEngine, task: str, variant: str
) -> None:
    first = runtime.run(task, ASKED, variant=variant)
    passes = engine.passes
    again = runtime.run(task, ASKED, variant=variant)
    assert engine.passes == passes
    assert (first.from_cache, again.from_cache) == (False, True)
    same = replace(again, id=first.id, usage=first.usage, timings=first.timings, from_cache=False)
    assert same == first
    assert again.usage.prompt_tokens == again.usage.num_cached_tokens == first.usage.prompt_tokens
    assert again.usage.new_tokens == 0
    assert runtime.stats.responses.hits == 1
    wait_for_idle(runtime)


def test_a_repetition_is_a_decision_of_its_own(runtime: Runtime) -> None:
    first, again = (runtime.run("mood", ASKED, variant="chat") for _ in range(2))
    assert first.id != again.id
    assert runtime.feedback(again.id, 1.0) is FeedbackOutcome.APPLIED
    assert runtime.feedback(first.id, 0.0) is FeedbackOutcome.APPLIED
    assert sum(arm.feedbacks for arm in runtime.learner.status().arms) == 2


def test_the_policy_still_chooses(runtime: Runtime) -> None:
    replies = [runtime.run("mood", ASKED) for _ in range(40)]
    assert {reply.variant for reply in replies} == {"plain", "chat"}
    assert [reply.propensity for reply in replies] == pytest.approx([0.5] * 40)
    assert sum(not reply.from_cache for reply in replies) == 2


def test_another_request_is_another_answer(runtime: Runtime) -> None:
    runtime.run("mood", ASKED, variant="chat")
    assert not runtime.run("mood", ASKED, variant="plain").from_cache
    assert not runtime.run("mood", {"text": ASKED["text"] + " "}, variant="chat").from_cache
    assert not runtime.run("reply", ASKED, variant="plain").from_cache
    # What the app knows of the moment is for the policy: the answer does not depend on it.
    assert runtime.run("mood", ASKED, {"battery": 0.1}, variant="chat").from_cache


def test_another_generation_answers_anew_and_its_own_answers_come_back(
    runtime: Runtime,
) -> None:
    first = runtime.run("mood", ASKED, variant="chat")
    assert runtime.learner.promote() == Swapped(2)
    second = runtime.run("mood", ASKED, variant="chat")
    assert (second.from_cache, second.generation) == (False, 2)
    assert runtime.run("mood", ASKED, variant="chat").from_cache
    runtime.learner.rollback()
    back = runtime.run("mood", ASKED, variant="chat")
    assert (back.generation, back.scores) == (1, first.scores)


def test_sampled_answers_are_never_held(engine: CountingEngine) -> None:
    sampled = Variant("sampled", prompt="{{ text }}", sampling=SamplingParams(max_new_tokens=8, temperature=1.0))
    seeded = Variant("seeded", prompt="{{ text }}", sampling=replace(sampled.sampling, seed=3))
    with open_scripted(engine, sampled, seeded) as runtime:
        for variant, texts in (("sampled", 4), ("seeded", 1)):
            replies = [runtime.run("reply", ASKED, variant=variant) for _ in range(4)]
            assert not any(reply.from_cache for reply in replies)
            assert len({reply.text for reply in replies}) == texts
        assert runtime.stats.responses.entries == 0


def test_streams_and_free_prompts_are_not_held(runtime: Runtime) -> None:
    for _ in range(2):
        assert list(runtime.stream("reply", ASKED, variant="plain"))
        runtime.generate("the movie", max_new_tokens=4)
        runtime.score("the movie", ["good"])
    assert runtime.stats.responses.entries == 0


def test_answers_can_be_submitted_in_any_way(runtime: Runtime) -> None:
    submitted = runtime.submit("mood", ASKED, variant="chat").result(WAIT)
    [many] = runtime.run_many("mood", [ASKED], variant="chat")
    assert (submitted.from_cache, many.from_cache) == (False, True)
    assert many.scores == submitted.scores


def test_requests_that_were_cancelled_or_failed_leave_no_answer() -> None:
    engine = gated()
    with open_scripted(engine) as runtime:
        engine.hold()
        cancelled = runtime.submit("reply", ASKED, variant="plain")
        late = runtime.submit("reply", ASKED, variant="plain", deadline=0.01)
        assert cancelled.cancel()
        wait_past(0.01)
        engine.let(1)
        assert isinstance(late.exception(WAIT), DeadlineExceeded)
        engine.open_gate()
        wait_for_idle(runtime)
        assert runtime.stats.responses.entries == 0
        assert not runtime.run("reply", ASKED, variant="plain").from_cache


def test_the_cache_can_be_off(engine: CountingEngine) -> None:
    with open_scripted(engine, response_cache_bytes=0) as runtime:
        replies = [runtime.run("mood", ASKED, variant="chat") for _ in range(2)]
        assert [reply.from_cache for reply in replies] == [False, False]
        assert replies[0].scores == replies[1].scores
    with pytest.raises(RequestError, match="response_cache_bytes"):
        open_scripted(engine, response_cache_bytes=-1)
