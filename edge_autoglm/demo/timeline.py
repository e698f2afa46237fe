"""What happened while the demo answered: one record a request, one a swap."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answered:
    """One request.

    Attributes:
        domain: Where the snippet is from.
        variant: Prompt variant that answered.
        generation: Generation that answered.
        correct: Whether the label was the human one.
        started: Seconds on the monotonic clock that all records share.
        seconds: From the call to the reply.
    """

    domain: str
    variant: str
    generation: int
    correct: bool
    started: float
    seconds: float

    @property
    def ended(self) -> float:
        """Seconds on the shared clock."""
        return self.started + self.seconds


@dataclass(frozen=True, slots=True)
class SwapWindow:
    """One attempt to change the active generation, from the request for it to its outcome.

    Attributes:
        kind: ``policy`` or ``prompts``.
        at: Requests answered when it was asked for.
        started: Seconds on the shared clock.
        ended: Likewise.
        generation: Number of the new generation, ``None`` when it did not go live.
        note: Why it did not, else empty.
    """

    kind: str
    at: int
    started: float
    ended: float
    generation: int | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole run, in order."""

    answers: tuple[Answered, ...]
    swaps: tuple[SwapWindow, ...]
    failures: tuple[str, ...]
    """One message a request that raised."""

    @property
    def seconds(self) -> float:
        """From the first request to the last reply."""
        return self.answers[-1].ended - self.answers[0].started

    def during_swaps(self) -> list[Answered]:
        """Requests that ran, at least in part, while a generation was being built, checked or swapped in."""
        return [
            answer
            for answer in self.answers
            if any(answer.started < swap.ended and swap.started < answer.ended for swap in self.swaps)
        ]

    def longest_wait(self) -> float:
        """Longest time by which a request during a swap exceeded the median of its variant, in seconds; 0 if none did.

        The median is that of the requests outside all swaps, or of all requests where the variant has none there.
        """
        during = self.during_swaps()
        busy = set(during)
        usual = _medians(answer for answer in self.answers if answer not in busy)
        usual = {**_medians(self.answers), **usual}
        return max((max(0.0, answer.seconds - usual[answer.variant]) for answer in during), default=0.0)


def _medians(answers: Iterable[Answered]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {}
    for answer in answers:
        seconds.setdefault(answer.variant, []).append(answer.seconds)
    return {variant: statistics.median(values) for variant, values in seconds.items()}


def accuracy(answers: Iterable[Answered]) -> float:
    """Share of correct labels.

    Raises:
        statistics.StatisticsError: There are no answers.
    """
    return statistics.fmean(answer.correct for answer in answers)
