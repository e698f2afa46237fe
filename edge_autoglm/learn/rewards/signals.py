"""What an app may report about an answer, besides a plain number in 0..1.

Explicit signals are what a user said: `Thumbs`, `Stars`, `Preferred`. Implicit ones are what a user did: `Accepted`,
`Edited`, `Retried`. A decision takes one explicit reward, and before it one implicit signal of each kind, whose weights
together are at most 0.3, so that a guess never outweighs a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_autoglm.errors import InvalidReward
from edge_autoglm.learn.rewards.checked import checked_reward, checked_share
from edge_autoglm.learn.rewards.edits import edit_share

Kind: TypeAlias = Literal["explicit", "accepted", "edited", "retried"]

MOST_IMPLICIT = 0.3
"""Of the weights of all implicit signals of one decision, together."""
ACCEPTED_WEIGHT = 0.15
"""Half of what an edit says: many take what they are given."""
PREFERENCE_WEIGHT = 0.5
"""Of each side of a comparison: it is one opinion about two answers, and says nothing about how good either is."""


@dataclass(frozen=True, slots=True)
class Thumbs:
    """Up is a reward of 1, down one of 0."""

    up: bool


@dataclass(frozen=True, slots=True)
class Stars:
    """``n`` of ``out_of`` stars, the fewest of which is 1: evenly spaced rewards from 0 to 1."""

    n: int
    out_of: int = 5


@dataclass(frozen=True, slots=True)
class Preferred:
    """The answer is better than that of the decision ``over``: 1 for the one, 0 for the other, each at weight 0.5.

    The mean reward of a variant that is only ever compared is then the share of comparisons it wins (its Borda score).
    """

    over: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer was used as it is: sent, copied, clicked. A reward of 1 at weight 0.15."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The answer was used after ``share`` of it, in 0..1, was changed: a reward of ``1 - share`` at weight 0.3.

    >>> Edited.between("the cat sat", "the cat sat down")
    Edited(share=0.3125)
    """

    share: float

    @classmethod
    def between(cls, answer: str, used: str) -> Edited:
        """From the answer and what became of it; see `edit_share`."""
        return cls(edit_share(answer, used))


@dataclass(frozen=True, slots=True)
class Retried:
    """Another answer to the same request was asked for: a reward of 0 at weight 0.3."""


Signal: TypeAlias = float | Thumbs | Stars | Preferred | Accepted | Edited | Retried


@dataclass(frozen=True, slots=True)
class Reward:
    """What a signal says about one decision.

    Attributes:
        id: Of the decision.
        value: In 0..1, before any price.
        weight: How much it counts, in 0..1.
        kind: A decision takes one of each.
    """

    id: str
    value: float
    weight: float = 1.0
    kind: Kind = "explicit"


def rewards_of(decision_id: str, signal: Signal) -> tuple[Reward, ...]:
    """What a signal for a decision says: about that one, or about both sides of a comparison.

    Raises:
        InvalidReward: The signal is none of `Signal`, or a number in it is out of range.
    """
    if isinstance(signal, Preferred):
        return _compared(decision_id, signal.over)
    if isinstance(signal, Accepted):
        return (Reward(decision_id, 1.0, ACCEPTED_WEIGHT, "accepted"),)
    if isinstance(signal, Edited):
        share = checked_share(signal.share, "edited share", "Give the changed part of the answer, from 0 to 1.")
        return (Reward(decision_id, 1.0 - share, MOST_IMPLICIT, "edited"),)
    if isinstance(signal, Retried):
        return (Reward(decision_id, 0.0, MOST_IMPLICIT, "retried"),)
    return (Reward(decision_id, _explicit(signal)),)


def _explicit(signal: float | Thumbs | Stars) -> float:
    if isinstance(signal, Thumbs):
        return 1.0 if signal.up else 0.0
    return _share_of_stars(signal) if isinstance(signal, Stars) else checked_reward(signal)


def _share_of_stars(stars: Stars) -> float:
    whole = all(isinstance(count, int) for count in (stars.n, stars.out_of))
    if not (whole and 1 <= stars.n <= stars.out_of and stars.out_of >= 2):
        raise InvalidReward(
            f"the reward is {stars.n!r} of {stars.out_of!r} stars"[:80], "Give 1 to out_of stars, of at least 2."
        )
    return (stars.n - 1) / (stars.out_of - 1)


def _compared(better: str, worse: str) -> tuple[Reward, ...]:
    if better == worse:
        raise InvalidReward(f"the decision {better!r} is compared with itself"[:80], "Give the ids of two decisions.")
    return Reward(better, 1.0, PREFERENCE_WEIGHT), Reward(worse, 0.0, PREFERENCE_WEIGHT)
