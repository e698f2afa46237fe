"""What a streamed answer costs is known when it has ended."""

from __future__ import annotations

import pytest

from edge_autoglm import FeedbackOutcome, Preferred, RewardPrice, Runtime
from tests.facade.scripted import ASKED, gated, open_scripted
from tests.swap.world import asking

PRICE = RewardPrice(per_100_tokens=10.0)
ANSWER = {"Answer:": "fine"}


def mean_reward(runtime: Runtime) -> float | None:
    [arm] = [arm for arm in runtime.learner.status().arms if arm.pulls]
    return arm.mean_reward


def test_a_stream_is_priced_like_a_whole_answer() -> None:
    rewards = []
    for streamed in (False, True):
        with open_scripted(gated(answers=ANSWER), asking("asked", "Say it."), reward_price=PRICE) as runtime:
            if streamed:
                stream = runtime.stream("reply", ASKED, variant="asked")
                assert "".join(stream) == "fine"
                decision = stream.id
            else:
                decision = runtime.run("reply", ASKED, variant="asked").id
            assert runtime.feedback(decision, 1.0) is FeedbackOutcome.APPLIED
            rewards.append(mean_reward(runtime))
    assert rewards[0] == rewards[1]
    assert rewards[0] is not None
    assert rewards[0] < 1.0


def test_feedback_before_the_end_is_taken_at_once() -> None:
    engine = gated(answers=ANSWER)
    with open_scripted(engine, asking("asked", "Say it."), reward_price=PRICE) as runtime:
        engine.hold()
        stream = runtime.stream("reply", ASKED, variant="asked")
        assert runtime.feedback(stream.id, 1.0) is FeedbackOutcome.APPLIED
        assert mean_reward(runtime) == 1.0
        engine.open_gate()
        assert "".join(stream) == "fine"
        assert runtime.feedback(stream.id, 0.0) is FeedbackOutcome.DUPLICATE
        engine.hold()
        one, other = (runtime.stream("reply", {"text": text}, variant="asked") for text in ("a", "b"))
        assert runtime.feedback(one.id, Preferred(over=other.id)) is FeedbackOutcome.APPLIED
        engine.open_gate()


@pytest.mark.parametrize("close", [True, False])
def test_a_stream_that_is_given_up_counts_as_a_choice(close: bool) -> None:
    engine = gated(answers=ANSWER)
    with open_scripted(engine, asking("asked", "Say it.")) as runtime:
        engine.hold()
        stream = runtime.stream("reply", ASKED, variant="asked")
        if close:
            stream.close()
        else:
            del stream
        engine.open_gate()
        runtime.run("reply", ASKED, variant="plain")
        assert {arm.arm: arm.pulls for arm in runtime.learner.status().arms}["asked"] == 1
