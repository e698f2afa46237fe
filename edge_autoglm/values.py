"""Value types that cross layers: small, frozen, without behaviour of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypedDict

from edge_autoglm.errors import RequestError

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``; units are the stage's own (bytes, layers, probes)."""


def silent(stage: str, done: int, total: int) -> None:
    """Progress sink that shows nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request."""

    prompt_tokens: int
    num_cached_tokens: int
    """Prompt tokens whose KV came from a resident prefix, so that no forward pass ran over them."""
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock seconds of one request."""

    queue: float
    """Waiting for a free KV slot."""
    ttft: float
    """From the call to the first token (or, for label scoring, to the answer)."""
    total: float


class FeedbackOutcome(Enum):
    """What became of a reward."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """The decision already has its reward; nothing changed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of a policy.

    Attributes:
        id: Unique; feedback names it.
        arm: The variant chosen.
        propensity: Probability with which ``arm`` was chosen, in (0, 1].
    """

    id: str
    arm: str
    propensity: float


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


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    """``system``, ``user`` or ``assistant``."""
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a continuation is decoded; greedy by default.

    Attributes:
        max_new_tokens: At least 1.
        temperature: 0 is greedy; otherwise logits are divided by it.
        top_k: Keep the k most probable tokens; 0 keeps all.
        top_p: Keep the smallest set of tokens of that probability, in (0, 1] (nucleus, Holtzman et al. 2020).
        stop: Texts that end the continuation; they are not part of it.
        seed: Of the request's own random stream; ``None`` draws one.

    Raises:
        RequestError: A value is out of range.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RequestError(f"max_new_tokens is {self.max_new_tokens}", "Ask for at least 1 token.")
        if not 0.0 <= self.temperature < math.inf:
            raise RequestError(f"temperature is {self.temperature}", "Give a finite number of 0 or more; 0 is greedy.")
        if self.top_k < 0:
            raise RequestError(f"top_k is {self.top_k}", "Give 0 (keep all) or more.")
        if not 0.0 < self.top_p <= 1.0:
            raise RequestError(f"top_p is {self.top_p}", "Give a number above 0 and up to 1.")
        if any(not text for text in self.stop):
            raise RequestError("a stop text is empty", "Leave it out; an empty text would stop at once.")


@dataclass(frozen=True, slots=True)
class Completion:
    """Answer to a free prompt.

    Attributes:
        text: The continuation, without the stop text that ended it.
        finish_reason: ``stop`` (a stop text), ``eos`` (the model ended) or ``length`` (no token or room left).
        generation: Number of the generation that answered.
    """

    text: str
    finish_reason: str
    generation: int
    usage: Usage
    timings: Timings
