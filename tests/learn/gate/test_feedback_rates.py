"""The sample-ratio alarm: rings for an arm that loses feedback, not for contexts, drift or late rewards."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.feedback_rates import FeedbackRates
from edge_autoglm.learn.models.base import ModelState

ARMS = ("plain", "polite", "short", "formal")


def play(
    rates: FeedbackRates, seed: int, decisions: int, lost: float = 0.0, late: int = 0, contextual: bool = False
) -> FeedbackRates:
    """Decisions of a policy that drifts to one arm, while users get tired; `lost` feedback of ``polite``.

    `contextual`: long texts, of which half as many get feedback, mostly go to ``short``.
    """
    rng = np.random.default_rng(seed)
    pending: list[str] = []
    for number in range(decisions):
        long_text = contextual and rng.random() < 0.5
        lead = 2 if long_text else 1
        share = 0.25 + 0.6 * number / decisions
        shares = np.full(4, (1.0 - share) / 3.0)
        shares[lead] = share
        arm = int(rng.choice(4, p=shares))
        rates.decided(f"{seed}-{number}", ARMS[arm], dict(zip(ARMS, shares.tolist(), strict=True)))
        willing = (0.6 - 0.4 * number / decisions) * (0.5 if long_text else 1.0)
        if rng.random() < willing * (1.0 - lost * (arm == 1)):
            pending.append(f"{seed}-{number}")
        while len(pending) > late:
            rates.rewarded(pending.pop(0))
    return rates


def test_an_arm_that_loses_half_its_feedback_raises_the_alarm() -> None:
    for seed in range(2):
        alarm = play(FeedbackRates(delay=50), seed, 2500, lost=0.5).alarm()
        assert alarm is not None
        assert alarm.arm == "polite"
        assert alarm.rate < alarm.others_rate
        assert alarm.e_value >= alarm.threshold
        assert f"{alarm.rate:.1%} of {alarm.decided} decisions for polite" in alarm.explain()


def test_tired_users_and_hard_contexts_raise_none() -> None:
    alarms = [play(FeedbackRates(delay=20), seed, 800, contextual=seed % 2 == 0).alarm() for seed in range(8)]
    assert sum(alarm is not None for alarm in alarms) <= 1


@pytest.mark.heavy
def test_false_alarms_are_as_rare_as_alpha_says() -> None:
    alarms = [play(FeedbackRates(delay=20), seed, 1000, contextual=True).alarm() for seed in range(300)]
    print(f"false alarms: {sum(alarm is not None for alarm in alarms)} of 300")
    assert sum(alarm is not None for alarm in alarms) <= 0.05 * 300


def test_late_feedback_counts_as_long_as_the_delay_lasts() -> None:
    rates = play(FeedbackRates(delay=400), 1, 2000, late=60)
    assert rates.alarm() is None
    facts = rates.state().facts
    assert sum(decided for _, decided, _, _ in facts["arms"]) == 2000 - 400
    assert sum(rewarded for _, _, rewarded, _ in facts["arms"]) > 300


def test_a_decision_ripens_only_when_enough_newer_ones_were_made() -> None:
    rates = FeedbackRates(delay=1)
    shares = {"plain": 0.5, "polite": 0.5}
    rates.decided("a", "plain", shares)
    rates.rewarded("a")
    rates.rewarded("a")
    rates.rewarded("unknown")
    assert rates.state().facts["arms"] == []
    rates.decided("b", "polite", shares)
    rates.rewarded("a")
    assert [arm[:3] for arm in rates.state().facts["arms"]] == [["plain", 1, 1], ["polite", 0, 0]]


def test_arms_may_join_and_an_arm_that_the_caller_chose_says_nothing() -> None:
    rates = play(FeedbackRates(delay=10), 2, 300)
    before = rates.state().arrays["gains"]
    for number in range(50):
        rates.decided(f"forced-{number}", "new", {"new": 1.0})
    after = rates.state().arrays["gains"]
    assert after.shape[0] == 5
    assert (after[4] == 0.0).all()
    assert before.shape[0] == 4


@pytest.mark.parametrize("split", [0, 5, 500])
def test_restored_rates_go_on_as_those_they_were(split: int) -> None:
    whole, first, second = (FeedbackRates(delay=30) for _ in range(3))
    for rates in (whole, first):
        play(rates, 3, split, lost=0.7)
    state = first.state()
    second.restore(ModelState(json.loads(json.dumps(state.facts)), state.arrays))
    for rates in (whole, second):
        play(rates, 4, 700, lost=0.7)
    assert second.alarm() == whole.alarm() is not None
    assert second.state().facts == whole.state().facts
    assert second.state().arrays["gains"].tobytes() == whole.state().arrays["gains"].tobytes()


def test_what_does_not_fit_is_refused() -> None:
    for settings in ({"alpha": 0.0}, {"alpha": 1.0}, {"delay": -1}):
        with pytest.raises(PolicyError):
            FeedbackRates(**settings)
    for shares in ({}, {"plain": 0.5}, {"polite": 1.0}, {"plain": 1.5, "polite": -0.5}):
        with pytest.raises(PolicyError):
            FeedbackRates().decided("a", "plain", shares)
    with pytest.raises(PolicyError, match="another alpha or delay"):
        FeedbackRates(delay=3).restore(FeedbackRates(delay=4).state())
    assert FeedbackRates().alarm() is None
