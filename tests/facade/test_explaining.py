"""Why a variant answered, and what an app may keep from the policy."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.learn.reading import read_policy
from edge_autoglm.values import Explanation, Reply

REWARDS = {"plain": 0.1, "framed": 0.9, "chat": 0.4}


def why(reply: Reply) -> Explanation:
    explanation = reply.explain()
    assert explanation is not None
    return explanation


def teach(runtime: Runtime, rounds: int = 20) -> None:
    """Long texts suit `framed`, and nothing else does."""
    for number in range(rounds):
        for variant in REWARDS:
            long = number % 2 == 0
            text = "a film that goes on and on and on" if long else "short"
            reply = runtime.run("mood", {"text": text}, variant=variant)
            runtime.feedback(reply.id, REWARDS[variant] if long else 0.3)
    runtime.learner.promote()


def test_an_untrained_policy_expects_the_same_of_all(runtime: Runtime) -> None:
    reply = runtime.run("mood", {"text": "a film"})
    explanation = why(reply)
    assert (explanation.task, explanation.variant, explanation.named_by_caller) == ("mood", reply.variant, False)
    assert [arm.propensity for arm in explanation.arms] == pytest.approx([1 / 3] * 3)
    assert len({arm.mean for arm in explanation.arms}) == 1
    assert "No feature of the request counted." in explanation.summary


def test_a_trained_policy_says_what_it_expects_and_why(runtime: Runtime) -> None:
    teach(runtime)
    explanation = why(runtime.run("mood", {"text": "a film that goes on and on"}, variant="framed"))
    best = explanation.arms[0]
    assert best.arm == "framed"
    assert best.mean > 0.5
    assert sum(arm.propensity for arm in explanation.arms) == pytest.approx(1.0)
    assert sum(explanation.contributions.values()) == pytest.approx(best.mean, abs=0.02)
    assert "framed was named by the caller" in explanation.summary
    assert f"{best.mean:.3f}" in explanation.summary


def test_words_are_named_and_not_numbered(runtime: Runtime) -> None:
    teach(runtime)
    contributions = why(runtime.run("mood", {"text": "short"}, variant="framed")).contributions
    assert not any(name.startswith("#") for name in contributions)


def test_a_stream_explains_itself_as_an_answer_does(runtime: Runtime) -> None:
    stream = runtime.stream("echo", {"text": "the movie is"}, variant="plain")
    list(stream)
    assert why(stream.reply) == why(runtime.run("echo", {"text": "the movie is"}, variant="plain"))


def test_an_explanation_is_of_the_policy_that_chose(runtime: Runtime) -> None:
    reply = runtime.run("mood", {"text": "a film"})
    before = asdict(why(reply))
    teach(runtime)
    assert asdict(why(reply)) == before


def test_replies_are_equal_whatever_explains_them(runtime: Runtime) -> None:
    reply = runtime.run("mood", {"text": "a film"})
    assert replace(reply, explainer=None) == reply
    assert replace(reply, explainer=None).explain() is None


@pytest.mark.parametrize("forbidden", [(), ("length", "words", "app:age")])
def test_what_is_forbidden_is_neither_used_nor_kept(bundle: Bundle, tmp_path: Path, forbidden: tuple[str, ...]) -> None:
    config = RuntimeConfig(seed=1, forbidden_features=forbidden)
    with Runtime.open(bundle, tmp_path / "state", threads=1, config=config) as runtime:
        reply = runtime.run("mood", {"text": "a film"}, {"age": 40.5})
        runtime.feedback(reply.id, 1.0)
    kept = "".join(path.read_text() for path in sorted((tmp_path / "state").glob("journal-*.log")))
    assert [name in kept for name in ("length", "app:age")] == [not forbidden] * 2
    assert read_policy(tmp_path / "state").model is not None
