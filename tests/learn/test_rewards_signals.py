"""Signals: what each is worth, how often it counts, and what the price takes off."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import InvalidReward, PolicyError, UnknownDecision
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.learner import Learner, Limits
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.records import FeedbackRecord
from edge_autoglm.learn.rewards.edits import MAX_CHARS_COMPARED, edit_share
from edge_autoglm.learn.rewards.price import AnswerCost, RewardPrice
from edge_autoglm.learn.rewards.signals import (
    MOST_IMPLICIT,
    Accepted,
    Edited,
    Preferred,
    Retried,
    Signal,
    Stars,
    Thumbs,
    rewards_of,
)
from edge_autoglm.values import Decision, FeedbackOutcome
from tests.learn.streams import ARMS, assert_same_state, learnt, records_of, some_features


def policy() -> VariantPolicy:
    return make_policy("ridge", seed=1)


def decide_for(learner: Learner, arm: str, task: str = "mood", cost: AnswerCost | None = None) -> str:
    decision = forced(arm)
    learner.record(decision, task, ARMS, some_features(1, task), generation=1, cost=cost or AnswerCost())
    return decision.id


def given_to(folder: Path) -> list[tuple[str, float, float]]:
    """Kind, reward and weight of each record of feedback."""
    records = [record for record in records_of(folder) if isinstance(record, FeedbackRecord)]
    return [(record.kind, record.reward, record.weight) for record in records]


@pytest.mark.parametrize(
    ("signal", "kind", "value", "weight"),
    [
        (0.25, "explicit", 0.25, 1.0),
        (Thumbs(up=True), "explicit", 1.0, 1.0),
        (Thumbs(up=False), "explicit", 0.0, 1.0),
        (Stars(1), "explicit", 0.0, 1.0),
        (Stars(4), "explicit", 0.75, 1.0),
        (Stars(3, out_of=3), "explicit", 1.0, 1.0),
        (Accepted(), "accepted", 1.0, 0.15),
        (Edited(0.25), "edited", 0.75, 0.3),
        (Retried(), "retried", 0.0, 0.3),
    ],
)
def test_each_signal_has_its_worth(tmp_path: Path, signal: Signal, kind: str, value: float, weight: float) -> None:
    with Learner.open(tmp_path, policy=policy()) as learner:
        decision_id = decide_for(learner, "plain")
        assert learner.feedback(decision_id, signal) is FeedbackOutcome.APPLIED
        assert learner.feedback(decision_id, signal) is FeedbackOutcome.DUPLICATE
        expected = policy()
        expected.learn(some_features(1), "plain", value, weight)
        assert learnt(learner.policy) == learnt(expected)
    assert given_to(tmp_path) == [(kind, value, weight)]


@pytest.mark.parametrize(
    "signal",
    [
        Stars(0),
        Stars(6),
        Stars(1, out_of=1),
        Stars(2.5),  # type: ignore[arg-type]
        Edited(-0.1),
        Edited(1.1),
        Edited(math.nan),
        Preferred(over="same"),
        "up",
        None,
        True,
    ],
)
def test_a_signal_out_of_range_is_refused(signal: Signal) -> None:
    with pytest.raises(InvalidReward):
        rewards_of("same", signal)


def test_a_comparison_rewards_both_sides(tmp_path: Path) -> None:
    with Learner.open(tmp_path, policy=policy()) as learner:
        better, worse = decide_for(learner, "plain"), decide_for(learner, "polite")
        assert learner.feedback(better, Preferred(over=worse)) is FeedbackOutcome.APPLIED
        assert learner.feedback(better, Preferred(over=worse)) is FeedbackOutcome.DUPLICATE
        assert learner.feedback(worse, 1.0) is FeedbackOutcome.DUPLICATE
        means = {arm.arm: arm.mean_reward for arm in learner.status().arms}
        assert means == {"plain": 1.0, "polite": 0.0, "short": None}
    assert given_to(tmp_path) == [("explicit", 1.0, 0.5), ("explicit", 0.0, 0.5)]
    with Learner.open(tmp_path, policy=policy()) as reopened:
        assert_same_state(reopened, learner)


def test_a_comparison_with_a_rewarded_answer_counts_for_the_other(tmp_path: Path) -> None:
    with Learner.open(tmp_path, policy=policy()) as learner:
        better, worse = decide_for(learner, "plain"), decide_for(learner, "polite")
        learner.feedback(better, 0.5)
        assert learner.feedback(better, Preferred(over=worse)) is FeedbackOutcome.APPLIED
    assert given_to(tmp_path) == [("explicit", 0.5, 1.0), ("explicit", 0.0, 0.5)]


def test_a_comparison_with_an_unknown_answer_or_of_two_tasks_changes_nothing() -> None:
    with Learner.open(None, policy=policy()) as learner:
        ours, theirs = decide_for(learner, "plain"), decide_for(learner, "plain", task="topic")
        with pytest.raises(UnknownDecision, match="'nobody'"):
            learner.feedback(ours, Preferred(over="nobody"))
        with pytest.raises(InvalidReward, match=r"mood.*topic.*are compared"):
            learner.feedback(ours, Preferred(over=theirs))
        assert learnt(learner.policy) == learnt(policy())
        assert learner.status().pending == 2


def test_implicit_signals_of_a_decision_share_one_budget_and_leave_it_open_for_a_word(tmp_path: Path) -> None:
    with Learner.open(tmp_path, policy=policy()) as learner:
        decision_id = decide_for(learner, "plain")
        outcomes = [learner.feedback(decision_id, signal) for signal in (Accepted(), Retried(), Edited(0.5))]
        assert outcomes == [FeedbackOutcome.APPLIED, FeedbackOutcome.APPLIED, FeedbackOutcome.CAPPED]
        assert [learner.feedback(decision_id, signal) for signal in (Accepted(), Edited(0.1))] == [
            FeedbackOutcome.DUPLICATE
        ] * 2
        assert learner.status().capped == 1
    with Learner.open(tmp_path, policy=policy()) as learner:  # the budget outlives a restart
        assert learner.feedback(decision_id, Retried()) is FeedbackOutcome.DUPLICATE
        assert learner.feedback(decision_id, 1.0) is FeedbackOutcome.APPLIED
        assert learner.feedback(decision_id, 0.0) is FeedbackOutcome.DUPLICATE
        assert learner.feedback(decision_id, Accepted()) is FeedbackOutcome.DUPLICATE
    recorded = given_to(tmp_path)
    assert [kind for kind, _, _ in recorded] == ["accepted", "retried", "edited", "explicit"]
    assert sum(weight for _, _, weight in recorded[:3]) == pytest.approx(MOST_IMPLICIT)
    assert recorded[3] == ("explicit", 1.0, 1.0)


def test_a_decision_that_only_an_implicit_signal_answered_does_not_count_as_missing() -> None:
    with Learner.open(None, policy=policy(), limits=Limits(max_pending=5)) as learner:
        heard, *_ = [decide_for(learner, "plain") for _ in range(5)]
        learner.feedback(heard, Accepted())
        for _ in range(5):
            decide_for(learner, "plain")
        assert learner.status().expired == 4
        with pytest.raises(UnknownDecision, match="expired"):
            learner.feedback(heard, 1.0)


def test_the_price_of_an_answer_is_taken_off_when_the_reward_comes(tmp_path: Path) -> None:
    price = RewardPrice(per_second=0.1, per_100_tokens=0.2)
    with Learner.open(tmp_path, policy=policy(), price=price) as learner:
        dear = decide_for(learner, "plain", cost=AnswerCost(latency=2.0, tokens=50))
        ruinous = decide_for(learner, "polite", cost=AnswerCost(latency=1000.0))
        unmeasured = decide_for(learner, "short")
    with Learner.open(tmp_path, policy=policy(), price=price) as learner:  # the cost outlives a restart
        for decision_id in (dear, ruinous, unmeasured):
            learner.feedback(decision_id, 1.0)
    assert [reward for _, reward, _ in given_to(tmp_path)] == [pytest.approx(0.7), 0.0, 1.0]
    with Learner.open(tmp_path, policy=policy(), price=RewardPrice(per_second=9.0)) as reopened:
        assert_same_state(reopened, learner)  # another price does not change what was learnt


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
def test_prices_and_costs_are_finite(wrong: float) -> None:
    with pytest.raises(PolicyError, match="per_second"):
        RewardPrice(per_second=wrong)
    with pytest.raises(PolicyError, match="per_100_tokens"):
        RewardPrice(per_100_tokens=wrong)
    if not math.isfinite(wrong):
        with pytest.raises(PolicyError, match="latency"):
            AnswerCost(latency=wrong)


def test_a_clock_that_was_set_back_costs_nothing() -> None:
    assert AnswerCost(latency=-1e9, tokens=-3) == AnswerCost(latency=0.0, tokens=0)


@pytest.mark.parametrize("moments", [[5e9, -5e9, 0.0], [1e9, 1e300, 1.0]])
def test_clock_jumps_change_nothing_that_is_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moments: list[float]
) -> None:
    with (
        Learner.open(tmp_path / "a", policy=policy()) as steady,
        Learner.open(tmp_path / "b", policy=policy()) as jumpy,
    ):
        for number, moment in enumerate(moments):
            steady.feedback(decide_for(steady, ARMS[number]), 1.0)
            monkeypatch.setattr("time.time", lambda moment=moment: moment)
            jumpy.feedback(decide_for(jumpy, ARMS[number]), 1.0)
            monkeypatch.undo()
    assert learnt(steady.policy) == learnt(jumpy.policy)
    with Learner.open(tmp_path / "b", policy=policy()) as reopened:
        assert_same_state(reopened, jumpy)


@pytest.mark.parametrize(
    "decision",
    [
        Decision("d", "plain", math.nan),
        Decision("d", "plain", 0.0),
        Decision("d", "plain", 1.5),
        Decision("d", "plain", 0.5, (0.5, 0.5)),
        Decision("d", "plain", 0.5, (0.5, 0.5, 0.5)),
        Decision("d", "plain", 0.5, (0.5, 0.6, -0.1)),
        Decision("d", "plain", 0.5, (math.nan, 0.5, 0.5)),
    ],
)
def test_propensities_that_are_none_are_refused(decision: Decision) -> None:
    with Learner.open(None, policy=policy()) as learner:
        with pytest.raises(PolicyError, match="propensity"):
            learner.record(decision, "mood", ARMS, some_features(1), generation=1)
        assert learner.status().decisions == 0


def levenshtein(first: str, second: str) -> int:
    """The table of Wagner and Fischer, cell by cell."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        left = [i]
        for j, b in enumerate(second, 1):
            left.append(min(row[j] + 1, left[j - 1] + 1, row[j - 1] + (a != b)))
        row = left
    return row[-1]


@given(st.text("abc\U0001f600", max_size=12), st.text("abc\U0001f600", max_size=12))
def test_the_edited_share_is_the_levenshtein_distance(first: str, second: str) -> None:
    expected = levenshtein(first, second) / max(len(first), len(second), 1)
    assert edit_share(first, second) == pytest.approx(expected)
    assert Edited.between(first, second) == Edited(edit_share(first, second))


def test_long_and_odd_texts_can_be_compared() -> None:
    assert edit_share("a" * 10**6, "a" * 10**6) == 0.0
    assert edit_share("a" * 10**6, "b" * MAX_CHARS_COMPARED) == 1.0
    assert edit_share("\ud800", "x") == 1.0
