"""Value types that cross layers: small, frozen, without behaviour of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TypedDict

from edge_autoglm.sampling_params import AdaptiveTemperature as AdaptiveTemperature
from edge_autoglm.sampling_params import SamplingParams as SamplingParams

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``; units are the stage's own (bytes, layers, probes)."""


def silent(stage: str, done: int, total: int) -> None:
    """Progress sink that shows nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request."""

    prompt_tokens: int
    num_cached_tokens: int
    """Prompt tokens whose KV was held already, so that no forward pass ran over them."""
    new_tokens: int
    drafted_tokens: int = 0
    """Tokens that look-up speculation proposed."""
    accepted_tokens: int = 0
    """Those of them that were right: each saved a decode step."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock seconds of one request."""

    queue: float
    """Waiting for a free KV slot."""
    ttft: float
    """From the call to the first token (or, for label scoring, to the answer)."""
    total: float


class Priority(IntEnum):
    """Class of a request; a higher one is served first and waits for no more than the step that runs."""

    CRITICAL = 0
    NORMAL = 1
    BACKGROUND = 2


class FeedbackOutcome(Enum):
    """What became of a reward."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """The decision already has its reward; nothing changed."""
    CAPPED = "capped"
    """On record, but nothing was learnt: its source, or what the user did about the answer, has no weight left."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The experiment that made a decision.

    Attributes:
        experiment: Its name.
        version: Its version.
        control: The variant that the others are compared with.
        unit: Keyed hash of the session, all of which got the same variant; ``None`` where the request had none.
    """

    experiment: str
    version: int
    control: str
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of a policy, or of an experiment.

    Attributes:
        id: Unique; feedback names it.
        arm: The variant chosen.
        propensity: Probability with which ``arm`` was chosen, in (0, 1].
        propensities: Those of all arms that were offered, in their order; empty where the caller chose.
        experiment: Where one chose instead of the policy.
    """

    id: str
    arm: str
    propensity: float
    propensities: tuple[float, ...] = ()
    experiment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class ArmExpectation:
    """What the policy expected of one variant.

    Attributes:
        arm: The variant.
        mean: Expected reward.
        spread: Standard deviation of that expectation.
        propensity: Probability with which the policy would choose it.
    """

    arm: str
    mean: float
    spread: float
    propensity: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a variant answered.

    Attributes:
        task: What was asked for.
        variant: That answered.
        named_by_caller: Whether the app chose it; then the rest says what the policy would have done.
        arms: All variants, the most promising first.
        contributions: What each feature of the request added to the variant's expected reward, the constant as
            ``bias``, the largest first; they sum up to it.
        summary: The same in words.
    """

    task: str
    variant: str
    named_by_caller: bool
    arms: tuple[ArmExpectation, ...]
    contributions: dict[str, float]
    summary: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to one request of a task.

    Attributes:
        id: Decision id; hand it to ``Runtime.feedback``.
        text: Generated text, or the label for a classification task.
        label: The label for a classification task, else ``None``.
        variant: Name of the prompt variant that answered.
        propensity: Probability with which the policy chose it; 1.0 when the caller named it.
        generation: Number of the generation that answered.
        scores: Log-probability of each label, normalised over the labels; empty for free text.
        from_cache: Whether the same request was answered before, so that nothing ran for this one.
        explainer: Makes the explanation; ``None`` where there is nothing to explain.
    """

    id: str
    text: str
    label: str | None
    variant: str
    propensity: float
    generation: int
    usage: Usage
    timings: Timings
    scores: dict[str, float]
    from_cache: bool = False
    explainer: Callable[[], Explanation] | None = field(default=None, repr=False, compare=False)

    def explain(self) -> Explanation | None:
        """Why this variant answered: what the policy expected of each, and which features of the request counted."""
        return None if self.explainer is None else self.explainer()


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    """``system``, ``user`` or ``assistant``."""
    content: str


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How probable a token was in the model's own distribution, before penalty, temperature and truncation.

    Attributes:
        token: Its id.
        logprob: Natural logarithm of its probability.
        top: The most probable tokens with theirs, most probable first, the lower id first among equals.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """Answer to a free prompt.

    Attributes:
        text: The continuation, without the stop text that ended it.
        finish_reason: ``stop`` (a stop text), ``eos`` (the model ended) or ``length`` (no token or room left).
        generation: Number of the generation that answered.
        logprobs: Of each new token, if they were asked for.
    """

    text: str
    finish_reason: str
    generation: int
    usage: Usage
    timings: Timings
    logprobs: tuple[TokenLogprob, ...] = ()
