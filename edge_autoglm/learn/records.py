"""The journal's records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.rewards.signals import Kind
from edge_autoglm.values import Assignment


@dataclass(frozen=True, slots=True, eq=False)
class DecisionRecord:
    """A decision, with all that its reward needs when it comes.

    Attributes:
        id: Of the decision.
        task: Name of the task.
        arm: The variant that was chosen out of ``arms``.
        propensity: Probability of that choice.
        arms: All that were offered.
        features: Of the request; hashed, so no text can be read back.
        generation: That answered.
        time: Seconds since the epoch; informative only.
        latency: Seconds that the answer took; ``None`` where nobody measured it.
        tokens: New ones of the answer; likewise.
        propensities: Of all ``arms``, to 8 digits; empty where the caller chose, or an older version recorded it.
        experiment: That chose instead of the policy, if one did.
    """

    id: str
    task: str
    arm: str
    propensity: float
    arms: tuple[str, ...]
    features: Features
    generation: int
    time: float
    latency: float | None = None
    tokens: int | None = None
    propensities: tuple[float, ...] = ()
    experiment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """A reward for the decision ``id``.

    Attributes:
        id: Of the decision.
        reward: In 0..1, what is to be learnt: the price of the answer is off already.
        time: Seconds since the epoch; informative only.
        weight: How much it counts, in 0..1, as the caps on implicit signals and on its source left it.
        kind: A decision takes one of each.
        source: Keyed hash of who gave it; ``None`` where the app named nobody.
    """

    id: str
    reward: float
    time: float
    weight: float = 1.0
    kind: Kind = "explicit"
    source: str | None = None


@dataclass(frozen=True, slots=True)
class MergeRecord:
    """What other devices learnt was added here.

    Attributes:
        digest: Names the file in the state folder that holds their statistics.
        time: Seconds since the epoch; informative only.
    """

    digest: str
    time: float


Record: TypeAlias = DecisionRecord | FeedbackRecord | MergeRecord
