"""A trial: what is promoted, rejected and kept going, and what the gate says of it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edge_autoglm.errors import InvalidReward, PolicyError
from edge_autoglm.learn.gate.decision import Verdict
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.gate import Gate
from edge_autoglm.learn.gate.guardrails import Guardrail, Standing
from edge_autoglm.learn.gate.settings import GateSettings
from edge_autoglm.learn.models.base import ModelState
from tests.learn.gate.runs import binary, first_crossings

LATENCY = Guardrail("latency", margin=0.2, limit=2.0)
ERRORS = Guardrail("errors", margin=0.05)


def served(rng: np.random.Generator, share: float = 0.2) -> Exposure:
    return Exposure.served(bool(rng.random() < share), share)


def trial(gate: Gate, champion: float, challenger: float, feedbacks: int, seed: int = 0) -> Gate:
    rng = np.random.default_rng(seed)
    for _ in range(feedbacks):
        exposure = served(rng)
        gate.feedback(exposure, float(rng.random() < (challenger if exposure.challenger else champion)))
    return gate


def through_json(state: ModelState) -> ModelState:
    return ModelState(json.loads(json.dumps(state.facts)), state.arrays)


def test_a_better_challenger_is_promoted_once_its_evidence_reaches_the_threshold() -> None:
    decision = trial(Gate("plain", "polite"), 0.5, 0.8, 2000).decide()
    assert decision.verdict is Verdict.PROMOTE
    assert decision.e_value >= decision.threshold == pytest.approx(math.pi**2 / 6 / 0.05)
    assert 0.0 < decision.gain.low < decision.gain.estimate < decision.gain.high
    assert decision.champion_feedbacks + decision.challenger_feedbacks < 1000  # later feedback changed nothing


def test_a_worse_challenger_is_rejected() -> None:
    decision = trial(Gate("plain", "polite"), 0.8, 0.5, 2000).decide()
    assert decision.verdict is Verdict.REJECT
    assert decision.gain.estimate < 0.0
    assert decision.reason.startswith("polite earns less than plain (e-value 2")
    assert decision.reason.endswith("needed 20.0)")


def test_an_equal_challenger_keeps_going_until_the_trial_ends() -> None:
    gate = trial(Gate("plain", "polite", GateSettings(max_feedbacks=500)), 0.6, 0.6, 499, seed=1)
    assert gate.decide().verdict is Verdict.KEEP_GOING
    decision = trial(gate, 0.6, 0.6, 1).decide()
    assert decision.verdict is Verdict.REJECT
    assert decision.gain.low <= 0.0 <= decision.gain.high
    assert "500 feedbacks are the most" in decision.reason


def test_the_gate_decides_when_the_simulated_runs_do() -> None:
    # The same draws in the same order, one trial at a time.
    alpha = Gate("a", "b").alpha
    for seed in range(3):
        crossed = first_crossings(lambda step: (0.4, 0.75), runs=1, steps=1500, alpha=alpha, reward=binary, seed=seed)[
            0
        ]
        gate, rng = Gate("a", "b"), np.random.default_rng(seed)
        while gate.decide().verdict is Verdict.KEEP_GOING:
            exposure = Exposure.served(bool(rng.random(1)[0] < 0.2), 0.2)
            mean = np.array([0.75 if exposure.challenger else 0.4])
            gate.feedback(exposure, float(binary(rng, mean)[0]))
        assert gate.decide().verdict is Verdict.PROMOTE
        assert gate.decide().champion_feedbacks + gate.decide().challenger_feedbacks == crossed


def test_a_later_challenger_needs_more_evidence() -> None:
    thresholds = [Gate("a", "b", number=number).decide().threshold for number in (1, 2, 3)]
    assert thresholds == pytest.approx([thresholds[0] * number**2 for number in (1, 2, 3)])


def test_a_gain_waits_for_every_guardrail_to_be_shown() -> None:
    gate = trial(Gate("plain", "polite", GateSettings(guardrails=(LATENCY, ERRORS))), 0.3, 0.9, 500)
    decision = gate.decide()
    assert decision.verdict is Verdict.KEEP_GOING
    assert decision.e_value > decision.threshold
    assert decision.reason == "polite earns more, but is not yet shown to keep to latency, errors"
    rng = np.random.default_rng(1)
    for _ in range(3000):
        gate.measured(served(rng), {"latency": float(rng.gamma(9.0, 0.05)), "errors": float(rng.random() < 0.01)})
    decision = gate.decide()
    assert decision.verdict is Verdict.PROMOTE
    assert {reading.standing for reading in decision.guardrails} == {Standing.WITHIN}
    assert all(reading.change.high < reading.guardrail.margin for reading in decision.guardrails)


def test_a_challenger_beyond_a_margin_is_stopped_for_it_whatever_it_earns() -> None:
    gate = Gate("plain", "polite", GateSettings(guardrails=(LATENCY,)))
    rng = np.random.default_rng(2)
    for _ in range(3000):
        exposure = served(rng)
        gate.measured(exposure, {"latency": float(rng.gamma(9.0, 0.05)) + 0.6 * exposure.challenger})
    decision = trial(gate, 0.1, 0.9, 500).decide()
    assert decision.verdict is Verdict.REJECT
    assert decision.reason == "polite is worse than the margin in latency"
    assert decision.guardrails[0].change.estimate > LATENCY.margin


def test_readings_beyond_the_limit_count_as_the_limit() -> None:
    gates = [Gate("a", "b", GateSettings(guardrails=(LATENCY,))) for _ in range(2)]
    for gate, reading in zip(gates, (2.0, 1e9), strict=True):
        gate.measured(Exposure.served(challenger=True, share=0.2), {"latency": reading})
    assert gates[0].decide().guardrails == gates[1].decide().guardrails


def test_policies_that_often_agree_need_no_more_feedback_than_the_draw_alone() -> None:
    # Both choose among the same arms; the challenger likes the better one, the champion does not.
    propensities = {"champion": np.array([0.9, 0.1]), "challenger": np.array([0.1, 0.9])}
    mixed = 0.2 * propensities["challenger"] + 0.8 * propensities["champion"]
    gate, rng = Gate("old", "new"), np.random.default_rng(3)
    for _ in range(1500):
        arm = int(rng.random() < mixed[1])
        exposure = Exposure.of_policies(propensities["champion"][arm], propensities["challenger"][arm], share=0.2)
        gate.feedback(exposure, float(rng.random() < (0.8, 0.5)[1 - arm]))
    assert gate.decide().verdict is Verdict.PROMOTE
    assert gate.decide().gain.low < 0.8 * 0.3 < gate.decide().gain.high


def test_the_weight_of_an_exposure_is_0_on_average() -> None:
    champion, challenger, share = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6]), 0.3
    mixed = share * challenger + (1.0 - share) * champion
    weights = [Exposure.of_policies(*pair, share).weight for pair in zip(champion, challenger, strict=True)]
    assert mixed @ weights == pytest.approx(0.0, abs=1e-12)
    # And the weighted reward is the difference of the policies' values.
    rewards = np.array([0.2, 0.9, 0.4])
    assert mixed @ (weights * rewards) == pytest.approx((challenger - champion) @ rewards)


@pytest.mark.parametrize("split", [0, 1, 150, 400])
def test_a_restored_gate_goes_on_as_the_one_it_was(split: int) -> None:
    settings = GateSettings(guardrails=(LATENCY,))
    whole, first, second = (Gate("plain", "polite", settings, number=2) for _ in range(3))
    rng = np.random.default_rng(4)
    for step in range(600):
        exposure, reward = served(rng), float(rng.random())
        if step == split:
            second.restore(through_json(first.state()))
        for gate in (whole, first if step < split else second):
            gate.feedback(exposure, reward)
            gate.measured(exposure, {"latency": reward * 2.0})
    assert second.decide() == whole.decide()
    assert {name: array.tobytes() for name, array in second.state().arrays.items()} == {
        name: array.tobytes() for name, array in whole.state().arrays.items()
    }


def test_a_verdict_survives_a_restart() -> None:
    done, again = trial(Gate("plain", "polite"), 0.3, 0.9, 500), Gate("plain", "polite")
    again.restore(through_json(done.state()))
    assert again.decide() == done.decide()
    assert again.decide().verdict is Verdict.PROMOTE


@pytest.mark.parametrize(
    "other",
    [
        Gate("plain", "formal"),
        Gate("plain", "polite", number=2),
        Gate("plain", "polite", GateSettings(alpha=0.01)),
        Gate("plain", "polite", GateSettings(share=0.1)),
        Gate("plain", "polite", GateSettings(guardrails=(LATENCY,))),
    ],
)
def test_a_state_of_another_gate_is_refused(other: Gate) -> None:
    with pytest.raises(PolicyError, match="Restore it with"):
        other.restore(Gate("plain", "polite").state())


def test_the_explanation_gives_the_decision_in_words_and_numbers() -> None:
    decision = trial(Gate("plain", "polite", GateSettings(guardrails=(ERRORS,))), 0.3, 0.9, 400).decide()
    said = decision.explain()
    assert said.splitlines()[0] == "keep-going: polite earns more, but is not yet shown to keep to errors"
    assert f"{decision.challenger_feedbacks:.0f} of polite, {decision.champion_feedbacks:.0f} of plain" in said
    assert f"gain of polite over plain: {decision.gain}, at 97.0% a bound" in said
    assert "guardrail: errors +0.000 (-1.000 to +1.000) over 0 readings, margin 0.05: not yet known" in said


@pytest.mark.parametrize("reward", [math.nan, math.inf, -0.1, 1.1, True, "1"])
def test_what_is_no_reward_is_refused_and_changes_nothing(reward: float) -> None:
    gate = Gate("plain", "polite")
    with pytest.raises(InvalidReward):
        gate.feedback(Exposure.served(challenger=True, share=0.2), reward)
    assert gate.decide() == Gate("plain", "polite").decide()


@pytest.mark.parametrize(
    "readings", [{"latency": math.nan}, {"latency": -1.0}, {"size": 1.0}, {"errors": 1.0, "size": 1}]
)
def test_what_is_no_reading_is_refused_and_changes_nothing(readings: dict[str, float]) -> None:
    gate = Gate("plain", "polite", GateSettings(guardrails=(LATENCY, ERRORS)))
    with pytest.raises(PolicyError):
        gate.measured(Exposure.served(challenger=True, share=0.2), readings)
    assert [reading.readings for reading in gate.decide().guardrails] == [0, 0]


def test_an_exposure_that_the_gate_is_not_made_for_is_refused() -> None:
    with pytest.raises(PolicyError, match="smallest share"):
        Gate("plain", "polite").feedback(Exposure.served(challenger=True, share=0.1), 1.0)
    Gate("plain", "polite").feedback(Exposure.served(challenger=True, share=1.0 - 0.2), 1.0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, math.nan])
def test_an_exposure_has_a_probability(share: float) -> None:
    with pytest.raises(PolicyError):
        Exposure.served(challenger=True, share=share)
    with pytest.raises(PolicyError):
        Exposure(0.5, 1.5)
    with pytest.raises(PolicyError):
        Exposure.of_policies(0.0, 0.0, 0.5)


@pytest.mark.parametrize(
    "settings",
    [{"alpha": 0.0}, {"alpha": 1.0}, {"share": 0.6}, {"holdback": 0.0}, {"max_feedbacks": 0}, {"window": 0},
     {"guardrails": (ERRORS, ERRORS)}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(PolicyError):
        GateSettings(**settings)  # type: ignore[arg-type]


def test_a_guardrail_has_a_margin_below_its_limit() -> None:
    for margin, limit in ((0.0, 1.0), (1.0, 1.0), (math.nan, 1.0), (0.1, math.inf)):
        with pytest.raises(PolicyError):
            Guardrail("latency", margin, limit)
    with pytest.raises(PolicyError):
        Gate("plain", "polite", number=0)
