"""After a promotion: demoted when worse, left alone when not, and no hiding behind a good past."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.decision import Verdict
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.guardrails import Guardrail
from edge_autoglm.learn.gate.holdback import Holdback
from edge_autoglm.learn.gate.settings import GateSettings
from edge_autoglm.learn.models.base import ModelState


def feed(holdback: Holdback, champion: float, challenger: float, feedbacks: int, seed: int = 0) -> Holdback:
    rng = np.random.default_rng(seed)
    for _ in range(feedbacks):
        exposure = Exposure.served(bool(rng.random() < 0.9), 0.9)
        holdback.feedback(exposure, float(rng.random() < (challenger if exposure.challenger else champion)))
    return holdback


def test_a_promoted_challenger_that_turns_out_worse_is_demoted() -> None:
    decision = feed(Holdback("plain", "polite"), 0.8, 0.5, 2000).decide()
    assert decision.verdict is Verdict.DEMOTE
    assert decision.explain().startswith("demote: polite earns less than plain")
    assert decision.e_value >= decision.threshold
    assert decision.gain.high < 0.0


def test_a_promoted_challenger_that_is_as_good_stays() -> None:
    demoted = [feed(Holdback("plain", "polite"), 0.7, 0.7, 700, seed).decide().verdict for seed in range(20)]
    assert demoted.count(Verdict.DEMOTE) <= 1


def test_a_good_past_hides_no_change() -> None:
    fresh, settings = GateSettings(window=1000), GateSettings(window=10**6)
    holdbacks = [Holdback("plain", "polite", settings) for settings in (fresh, settings)]
    for holdback in holdbacks:
        feed(holdback, 0.4, 0.8, 3000)
        feed(holdback, 0.8, 0.5, 1500, seed=1)
    assert [holdback.decide().verdict for holdback in holdbacks] == [Verdict.DEMOTE, Verdict.KEEP_GOING]


def test_windows_share_the_alpha() -> None:
    holdback = Holdback("plain", "polite", GateSettings(window=10))
    feed(holdback, 0.5, 0.5, 1)
    alphas = []
    for _ in range(5):
        alphas.append(holdback.alpha)
        feed(holdback, 0.5, 0.5, 10)
    assert len(set(alphas)) == 5
    assert sum(alphas) < 0.05


def test_a_guardrail_can_demote_too() -> None:
    holdback = Holdback("plain", "polite", GateSettings(guardrails=(Guardrail("latency", 0.2, 2.0),)))
    rng = np.random.default_rng(5)
    for _ in range(4000):
        exposure = Exposure.served(bool(rng.random() < 0.9), 0.9)
        holdback.measured(exposure, {"latency": 0.4 + 0.8 * exposure.challenger + 0.1 * float(rng.random())})
    assert holdback.decide().verdict is Verdict.DEMOTE
    assert holdback.decide().reason == "polite is worse than the margin in latency"


def test_a_restored_holdback_goes_on_as_the_one_it_was() -> None:
    settings = GateSettings(window=200)
    whole, first, second = (Holdback("plain", "polite", settings) for _ in range(3))
    feed(whole, 0.7, 0.6, 300)
    feed(first, 0.7, 0.6, 300)
    state = first.state()
    second.restore(ModelState(json.loads(json.dumps(state.facts)), state.arrays))
    for holdback in (whole, second):
        feed(holdback, 0.7, 0.6, 400, seed=1)
    assert second.decide() == whole.decide()
    assert second.alpha == whole.alpha
    with pytest.raises(PolicyError, match="'polite'"):
        Holdback("plain", "formal", settings).restore(state)
