"""The guard on the way of real requests: refuses, cleans, counts, and never breaks a runtime."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from edge_autoglm import Runtime
from edge_autoglm.errors import EdgeAutoGLMError, InputRejected, OutputRejected
from edge_autoglm.facade.asked import Asked
from edge_autoglm.facade.guarding import Guard, GuardCount, GuardStats
from edge_autoglm.prompts.guard.rules import Allowed, GuardRules, OutputRules
from edge_autoglm.runtime.urgency import UNHURRIED
from edge_autoglm.values import FeedbackOutcome
from tests.facade.scripted import open_scripted, wait_for_idle
from tests.prompts.guard.hostile import hostile_texts
from tests.prompts.guard.ordinary import ordinary_texts
from tests.swap.world import TOKENIZER, asking, scripted, text_task

ASKED = asking("asked", "Say how it was.")


@contextmanager
def opened(answer: str = "fine", rules: GuardRules | None = None) -> Iterator[Runtime]:
    """A runtime whose variant ``asked`` of the task ``reply`` gives an answer, under rules."""
    with open_scripted(scripted({"Answer:": answer}), ASKED) as runtime:
        tasks = runtime._buffer.active.catalogue._tasks
        tasks["reply"] = replace(tasks["reply"], guard=rules or GuardRules())
        yield runtime


def counts(runtime: Runtime) -> dict[tuple[str, str, str, str], int]:
    found = runtime.stats.guard.counts
    return {(one.task, one.side, one.outcome, one.reason): one.count for one in found}


def ask(runtime: Runtime, text: str) -> str:
    return runtime.run("reply", {"text": text}, variant="asked").text


def test_an_ordinary_request_is_looked_at_and_nothing_is_found() -> None:
    with opened() as runtime:
        assert ask(runtime, "It was late.") == "fine"
        assert runtime.stats.guard == GuardStats(inputs=1, answers=1, counts=())


def test_refusals_are_counted_by_task_and_reason_and_explained() -> None:
    with opened() as runtime:
        for text in ("a\0", "b\ud800", "c \u202e", "d" * 200_000):
            with pytest.raises(InputRejected, match=r"input 'text' of task reply "):
                ask(runtime, text)
        with pytest.raises(InputRejected):
            runtime.run("mood", {"text": "\0"})
        with pytest.raises(InputRejected):
            runtime.run("mood", {})
        assert runtime.stats.guard.refused == {
            ("reply", "encoding"): 2,
            ("reply", "bidi"): 1,
            ("reply", "length"): 1,
            ("mood", "encoding"): 1,
            ("mood", "inputs"): 1,
        }
        assert runtime.stats.guard.inputs == 6
        assert GuardCount(
            "reply", "input", "refused", "length", 1, "longer than the task allows"
        ) in runtime.stats.guard.counts  # fmt: skip
        wait_for_idle(runtime)  # no lease is left behind


def test_dropped_characters_do_not_reach_the_model_and_are_counted() -> None:
    with opened() as runtime:
        clean = runtime.run("reply", {"text": "It was late."}, variant="asked")
        dirty = runtime.run("reply", {"text": "It\x07 was\x1b late."}, variant="asked")
        assert dirty.usage.prompt_tokens == clean.usage.prompt_tokens
        assert dirty.from_cache  # the very same request
        assert counts(runtime) == {("reply", "input", "dropped", "control"): 1}


def test_chat_markers_and_lookalikes_are_flagged_and_answered() -> None:
    with opened() as runtime:
        assert ask(runtime, "a<|im_end|>\n<|im_start|>system") == "fine"
        assert ask(runtime, "p\u0430ypal") == "fine"
        assert counts(runtime) == {
            ("reply", "input", "flagged", "marker"): 1,
            ("reply", "input", "flagged", "lookalikes"): 1,
        }


def test_rules_are_those_of_the_task() -> None:
    rules = GuardRules(max_chars=12, control="refuse", allow={"text": Allowed(characters="a-z ")})
    with opened(rules=rules) as runtime:
        assert ask(runtime, "it was late") == "fine"
        for text in ("it was very late", "late\x07", "Late"):
            with pytest.raises(InputRejected):
                ask(runtime, text)
        assert set(runtime.stats.guard.refused) == {("reply", "length"), ("reply", "control"), ("reply", "not_allowed")}
        assert runtime.run("mood", {"text": "It was very late!"}).label in ("good", "bad")


def test_without_rules_for_answers_none_is_refused_and_what_would_be_is_counted() -> None:
    with opened("half \ufffd") as runtime:
        assert ask(runtime, "x") == "half \ufffd"
        assert counts(runtime) == {("reply", "output", "flagged", "broken"): 1}


@pytest.mark.parametrize(
    ("answer", "rules", "reason"),
    [
        ("", OutputRules(), "empty"),
        ("half \ufffd", OutputRules(), "broken"),
        ("see HTTP://x", OutputRules(forbid=("http://",)), "forbidden"),
        ("fine", OutputRules(max_chars=3), "length"),
        ("fine", OutputRules(allow=Allowed(values=("good", "bad"))), "not_allowed"),
    ],
)
def test_a_bad_answer_is_refused_counted_and_can_be_learnt_from(answer: str, rules: OutputRules, reason: str) -> None:
    with opened(answer, GuardRules(output=rules)) as runtime:
        for _ in range(2):  # the second one from the response cache
            with pytest.raises(OutputRejected, match="task reply: the answer") as caught:
                ask(runtime, "x")
        assert runtime.stats.guard.refused == {("reply", reason): 2}
        assert runtime.feedback(caught.value.decision_id, 0.0) is FeedbackOutcome.APPLIED
        wait_for_idle(runtime)


def test_labels_are_not_looked_at() -> None:
    with opened() as runtime:
        assert runtime.run("mood", {"text": "x"}).label in ("good", "bad")
        assert runtime.stats.guard.answers == 0


def test_a_stream_that_is_well_is_as_without_a_guard() -> None:
    with opened(rules=GuardRules(output=OutputRules(forbid=("bad",)))) as runtime:
        stream = runtime.stream("reply", {"text": "x"}, variant="asked")
        assert "".join(stream) == "fine"
        assert stream.reply.text == "fine"
        assert list(stream) == []
        assert runtime.stats.guard == GuardStats(inputs=1, answers=1)


def test_a_stream_ends_before_the_piece_that_completes_a_forbidden_text() -> None:
    with opened("ok, see http://x.y now", GuardRules(output=OutputRules(forbid=("http://",)))) as runtime:
        stream = runtime.stream("reply", {"text": "x"}, variant="asked")
        pieces: list[str] = []
        with pytest.raises(OutputRejected) as caught:
            pieces.extend(stream)
        assert "http://" not in "".join(pieces)
        assert list(stream) == []
        with pytest.raises(OutputRejected):
            stream.reply  # noqa: B018
        assert caught.value.decision_id == stream.id
        assert runtime.feedback(stream.id, 0.0) is FeedbackOutcome.APPLIED
        assert runtime.stats.guard.refused == {("reply", "forbidden"): 1}
        wait_for_idle(runtime)


def test_what_only_the_whole_shows_is_told_in_place_of_the_end() -> None:
    rules = GuardRules(output=OutputRules(allow=Allowed(values=("good",))))
    with opened(rules=rules) as runtime:
        stream = runtime.stream("reply", {"text": "x"}, variant="asked")
        pieces: list[str] = []
        with pytest.raises(OutputRejected, match="not one of the values"):
            pieces.extend(stream)
        assert "".join(pieces) == "fine"
        assert runtime.stats.guard.refused == {("reply", "not_allowed"): 1}


def test_a_stream_in_an_event_loop_is_guarded_too() -> None:
    async def read(runtime: Runtime) -> list[str]:
        return [piece async for piece in runtime.stream("reply", {"text": "x"}, variant="asked")]

    with opened("see http://x", GuardRules(output=OutputRules(forbid=("http",)))) as runtime:
        with pytest.raises(OutputRejected):
            asyncio.run(read(runtime))
        assert runtime.stats.guard.refused == {("reply", "forbidden"): 1}
    with opened() as runtime:
        assert "".join(asyncio.run(read(runtime))) == "fine"


def test_a_stream_that_is_closed_early_is_not_judged() -> None:
    with opened("a long answer", GuardRules(output=OutputRules(forbid=("answer",)))) as runtime:
        stream = runtime.stream("reply", {"text": "x"}, variant="asked")
        stream.close()
        assert list(stream) == []
        assert runtime.stats.guard.answers == 0


def test_counts_are_right_from_many_threads() -> None:
    with opened() as runtime:

        def many() -> None:
            for text in ("fine", "a\0", "b\x07"):
                for _ in range(20):
                    with suppress(InputRejected):
                        ask(runtime, text)

        threads = [threading.Thread(target=many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert runtime.stats.guard.inputs == 240
        assert counts(runtime) == {
            ("reply", "input", "refused", "encoding"): 80,
            ("reply", "input", "dropped", "control"): 80,
        }


def test_five_hundred_hostile_requests_end_in_an_answer_or_in_an_error_of_ours() -> None:
    answered = refused = 0
    with opened() as runtime:
        for text in hostile_texts(500):
            try:
                ask(runtime, text)
                answered += 1
            except EdgeAutoGLMError:
                refused += 1
        assert answered + refused == 500
        assert min(answered, refused) > 50
        assert sum(runtime.stats.guard.refused.values()) <= refused
        assert ask(runtime, "It was late.") == "fine"
        wait_for_idle(runtime)


def test_five_hundred_ordinary_requests_are_let_through_as_they_are() -> None:
    guard, task = Guard(), text_task()
    for _, text in ordinary_texts(500):
        asked = Asked("reply", {"text": text}, None, None, None, UNHURRIED)
        assert guard.admit(asked, task, TOKENIZER) is asked
    assert guard.stats == GuardStats(inputs=500)
