"""Why a policy chose as it did, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.policy import FrozenPolicy
from edge_autoglm.values import ArmExpectation, Decision, Explanation

_SHOWN = 5
"""Features in the summary."""
_SMALL = 0.0005
"""Contributions below are rounding."""


def explain(
    policy: FrozenPolicy,
    decision: Decision,
    arms: Sequence[str],
    features: Features,
    named_by_caller: bool,
    words: Mapping[int, str],
) -> Explanation:
    """Explain a decision.

    Args:
        policy: That chose, or would have chosen.
        decision: What was chosen.
        arms: That it was among.
        features: Of the request.
        named_by_caller: Whether the app chose.
        words: What hashed features stand for; those that are not in it keep their number.
    """
    expected = _expectations(policy, arms, features)
    named = _named(policy.contributions(decision.arm, features), words)
    summary = _summary(decision, expected, named, named_by_caller)
    return Explanation(features.task, decision.arm, named_by_caller, expected, named, summary)


def _expectations(policy: FrozenPolicy, arms: Sequence[str], features: Features) -> tuple[ArmExpectation, ...]:
    estimate = policy.estimate(arms, features)
    shares = policy.propensities(arms, features)
    figures = zip(arms, estimate.means.tolist(), estimate.spreads.tolist(), shares.tolist(), strict=True)
    return tuple(sorted((ArmExpectation(*figure) for figure in figures), key=lambda arm: -arm.mean))


def _named(contributions: Mapping[str, float], words: Mapping[int, str]) -> dict[str, float]:
    """The largest first, hashed words by their text."""
    texts = {f"#{index}": text for index, text in words.items()}
    ordered = sorted(contributions.items(), key=lambda item: -abs(item[1]))
    return {texts.get(name, name): value for name, value in ordered if abs(value) >= _SMALL or name == "bias"}


def _summary(
    decision: Decision, expected: Sequence[ArmExpectation], contributions: Mapping[str, float], named_by_caller: bool
) -> str:
    chosen = next(arm for arm in expected if arm.arm == decision.arm)
    others = [arm for arm in expected if arm is not chosen]
    by = "was named by the caller" if named_by_caller else f"was chosen with probability {chosen.propensity:.3f}"
    if decision.experiment is not None:
        by = f"was drawn by the experiment {decision.experiment.experiment} with probability {decision.propensity:.3f}"
    sentences = [f"{chosen.arm} {by}; it is expected to earn {_reward(chosen)}."]
    if others:
        sentences.append(f"Next: {', '.join(f'{arm.arm} {_reward(arm)}' for arm in others[:2])}.")
    reasons = [f"{name} {value:+.3f}" for name, value in contributions.items() if name != "bias"][:_SHOWN]
    sentences.append(f"What counted: {', '.join(reasons)}." if reasons else "No feature of the request counted.")
    return " ".join(sentences)


def _reward(arm: ArmExpectation) -> str:
    return f"{arm.mean:.3f} (give or take {arm.spread:.3f})"
