"""Self-consistency: the answer that most samples agree on (Wang et al. 2022).

"Self-Consistency Improves Chain of Thought Reasoning in Language Models": sample several answers, parse each one, and
take the most frequent. How many agree says how far the answer can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge_autoglm.errors import RequestError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share(Generic[T]):
    """One answer among the samples.

    Attributes:
        answer: As the first sample that gave it was parsed.
        votes: Samples that gave it.
        share: The same as a part of all samples, those that did not parse included.
    """

    answer: T
    votes: int
    share: float


@dataclass(frozen=True, slots=True)
class Consensus(Generic[T]):
    """What the samples agree on.

    Attributes:
        answer: The most frequent one; of several, the one that came first. ``None`` if no sample parsed.
        votes: Samples that gave it.
        of: Samples in all.
        spread: Every answer, the most frequent first, then the one that came first.
        unparsed: Samples that did not parse; they have no vote.
        agreement: ``votes / of``.
        entropy: Of the votes, over its largest value, that of as many different answers: 0 where all parsed samples
            agree (or there are fewer than two), 1 where no two do.
    """

    answer: T | None
    votes: int
    of: int
    spread: tuple[Share[T], ...]
    unparsed: int
    agreement: float
    entropy: float


def parsed(texts: Sequence[str], parse: Callable[[str], T | None]) -> list[T | None]:
    """Parse each text; one for which ``parse`` raises ``ValueError`` or ``LookupError`` gives ``None``."""
    return [_parsed(text, parse) for text in texts]


def majority(answers: Sequence[T | None]) -> Consensus[T]:
    """The most frequent answer.

    Answers are equal as JSON values are: objects whatever the order of their keys, 1 and 1.0, but not 1 and true.

    Args:
        answers: Parsed samples, JSON values or anything hashable; ``None`` for one that did not parse.

    Raises:
        RequestError: There is no sample, or an answer can neither be hashed nor is a JSON value.
    """
    if not answers:
        raise RequestError("there are no samples to choose from", "Ask for at least 1 sample.")
    first: dict[Hashable, T] = {}
    votes: dict[Hashable, int] = {}
    for answer in answers:
        if answer is not None:
            key = _canonical(answer)
            first.setdefault(key, answer)
            votes[key] = votes.get(key, 0) + 1
    # Sorting is stable, and a dict keeps the order in which answers came.
    ranked = sorted(votes, key=lambda key: -votes[key])
    spread = tuple(Share(first[key], votes[key], votes[key] / len(answers)) for key in ranked)
    most = spread[0].votes if spread else 0
    return Consensus(
        answer=spread[0].answer if spread else None,
        votes=most,
        of=len(answers),
        spread=spread,
        unparsed=len(answers) - sum(votes.values()),
        agreement=most / len(answers),
        entropy=_normalised_entropy(list(votes.values())),
    )


def _parsed(text: str, parse: Callable[[str], T | None]) -> T | None:
    try:
        return parse(text)
    except (ValueError, LookupError):
        return None


def _canonical(value: object) -> Hashable:
    """A key that is equal for equal answers."""
    if isinstance(value, Mapping):
        return "object", frozenset((key, _canonical(held)) for key, held in value.items())
    if isinstance(value, (list, tuple)):
        return "array", tuple(_canonical(held) for held in value)
    try:
        hash(value)
    except TypeError as error:
        raise RequestError(
            f"an answer is a {type(value).__name__}, which cannot be counted",
            "Parse answers to JSON values.",
        ) from error
    # To Python, True is 1.
    return ("boolean", value) if isinstance(value, bool) else ("scalar", value)


def _normalised_entropy(votes: Sequence[int]) -> float:
    total = sum(votes)
    if len(votes) < 2:
        return 0.0
    return -sum(count / total * math.log(count / total) for count in votes) / math.log(total)
