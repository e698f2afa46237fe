"""What a policy would have earned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.evaluation.estimators import Course, doubly_robust, ips, snips
from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.evaluation.logged import LoggedDecision
from edge_autoglm.learn.evaluation.replay import EvaluatedPolicy, Replay
from edge_autoglm.learn.models.base import RewardModel

POINTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class PolicyValue:
    """The average reward of a policy on the requests of a log that got a reward.

    Each interval holds the truth at all times at once with probability at least ``1 - alpha``; among the three of them,
    quote the one that you decided on before looking, which is best doubly robust.

    Attributes:
        ips: By inverse propensity scoring.
        snips: By the self-normalised form.
        dr: Doubly robust.
        logged: Mean of the rewards that the log itself earned.
        n: Decisions with a reward.
        effective_sample_size: How many rewards of the policy's own choices would tell as much:
            ``(sum w)^2 / sum w^2`` (Kish).
        missing: Arm -> share of its decisions without a reward. Where they differ much, no figure here can be trusted.
        alpha: Probability that an interval is ever wrong.
        counts: Numbers of rewards of the points of ``courses``, ``[points]``.
        courses: ``ips``, ``snips`` and ``dr`` -> estimate and bounds at each point, for a plot.
    """

    ips: Interval
    snips: Interval
    dr: Interval
    logged: float
    n: int
    effective_sample_size: float
    missing: Mapping[str, float]
    alpha: float
    counts: npt.NDArray[np.int64]
    courses: Mapping[str, Course]

    def explain(self) -> str:
        """The value for people to read, one fact a line."""
        level = f"{1.0 - self.alpha:.0%} at any time"
        return "\n".join(
            [
                f"the log earned {self.logged:.3f} over {self.n} rewards",
                f"the policy would have earned {self.dr} (doubly robust, {level})",
                f"other estimates: IPS {self.ips}, SNIPS {self.snips}",
                f"worth {self.effective_sample_size:.0f} rewards of its own choices",
                "no reward: " + ", ".join(f"{arm} {share:.0%}" for arm, share in self.missing.items()),
            ]
        )


def evaluate(
    log: Iterable[LoggedDecision],
    policy: EvaluatedPolicy,
    model: RewardModel,
    alpha: float = 0.05,
    max_weight: float = float("inf"),
) -> PolicyValue:
    """What ``policy`` would have earned where the log's own choices were made.

    A policy that learns is trained on the log as it is replayed, and judged, at each decision, by what it would have
    chosen with what it had learnt by then from the *log's* choices: the average of those values is the target. It is
    not what it would have earned had it been live from the start, when it would have learnt from choices of its own.

    Decisions without a reward are left out. That is sound where whether feedback comes depends on neither the arm nor
    the reward, given the request; then the value is that on requests that get feedback. See ``FeedbackRates``.

    Args:
        log: In the order of the decisions; leave out those that were not drawn, such as arms that the app named.
        policy: To be evaluated; one that learns is changed by it.
        model: Guesses rewards for the doubly robust estimate: an untrained one, which is changed too.
        alpha: Probability that an interval is ever wrong.
        max_weight: Cap on importance weights; bounds stay valid, estimates lean towards 0.

    Raises:
        PolicyError: ``alpha`` or ``max_weight`` is out of range, or no decision has a reward.
    """
    if not 0.0 < alpha < 1.0:
        raise PolicyError(f"alpha is {alpha!r}", "Give a number between 0 and 1, such as 0.05.")
    if not max_weight > 0.0:
        raise PolicyError(f"the cap on weights is {max_weight!r}", "Give a number above 0, such as 50.")
    replay = Replay(policy, model, max_weight)
    replayed = replay.run(log)
    counts = _points(len(replayed.rewards))
    estimators = {"ips": ips, "snips": snips, "dr": doubly_robust}
    courses = {name: estimate(replayed, counts, alpha) for name, estimate in estimators.items()}
    weights, squares = float(replayed.weights.sum()), float((replayed.weights**2).sum())
    last = {name: _last(course) for name, course in courses.items()}
    return PolicyValue(
        last["ips"],
        last["snips"],
        last["dr"],
        float(replayed.rewards.mean()),
        len(replayed.rewards),
        weights * weights / squares if squares else 0.0,
        replay.missing_shares(),
        alpha,
        counts,
        courses,
    )


def _points(n: int) -> npt.NDArray[np.int64]:
    """Up to ``POINTS`` counts, closer together where there are few rewards; the last is ``n``."""
    return np.unique(np.geomspace(1, n, POINTS).round().astype(np.int64))


def _last(course: Course) -> Interval:
    return Interval(float(course.estimates[-1]), float(course.low[-1]), float(course.high[-1]))
