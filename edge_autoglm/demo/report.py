"""What the demo found out: figures, and the goals they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_autoglm.demo.measure import FirstToken, Measurements
from edge_autoglm.demo.timeline import SwapWindow, Timeline, accuracy


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """One prompt variant.

    Attributes:
        name: Of the variant.
        share: Of all requests.
        share_last: Of the last ones.
        accuracy: When the policy chose it; ``None`` if it never did.
        accuracy_alone: When it answers all of the last snippets itself.
    """

    name: str
    share: float
    share_last: float
    accuracy: float | None
    accuracy_alone: float


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The figures of one run; times in seconds.

    Attributes:
        requests: Asked.
        failed: Of them.
        window: How many the "first" and "last" figures are over.
        accuracy_first: Of the first ``window``.
        accuracy_last: Of the last ``window``.
        best_alone: Accuracy of the best single variant on the last ``window``.
        mean_alone: Mean over all variants of the same.
        variants: Best first.
        swaps: In order.
        median_request: Median time of a request.
        longest_request_in_swap: Longest time of a request that ran while a swap was under way.
        longest_wait_in_swap: Longest time by which such a request exceeded its variant's median.
        first_token: With and without the resident prefix.
        prefill_speed: Tokens a second of a cold prompt.
        decode_speed: New tokens a second.
        answering: Length of the run.
        peak_memory: Bytes.
        plot: Where the picture is.
    """

    requests: int
    failed: int
    window: int
    accuracy_first: float
    accuracy_last: float
    best_alone: float
    mean_alone: float
    variants: tuple[VariantFigures, ...]
    swaps: tuple[SwapWindow, ...]
    median_request: float
    longest_request_in_swap: float
    longest_wait_in_swap: float
    first_token: FirstToken
    prefill_speed: float
    decode_speed: float
    answering: float
    peak_memory: int | None
    plot: Path

    def goals(self) -> dict[str, bool]:
        """What the demo sets out to show, and whether this run did."""
        live = [swap.kind for swap in self.swaps if swap.generation is not None]
        return {
            "no request failed": self.failed == 0,
            "at least three policies and one prompt set went live": live.count("policy") >= 3 and "prompts" in live,
            "last accuracy is within 0.05 of the best single variant": self.accuracy_last >= self.best_alone - 0.05,
            "last accuracy is 0.15 above the mean variant": self.accuracy_last >= self.mean_alone + 0.15,
            "no request waited longer than one prefill": self.longest_wait_in_swap <= self.first_token.cold,
            "the resident prefix cuts the first token to a third": 3 * self.first_token.resident
            <= self.first_token.cold,
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, for a JSON file."""
        return {**asdict(self), "plot": self.plot.name, "goals": self.goals()}


def build_report(timeline: Timeline, measured: Measurements, plot: Path, window: int) -> DemoReport:
    """Figures of a run.

    Args:
        timeline: What happened; at least ``window`` answers.
        measured: After it, on the last ``window`` snippets.
        plot: Where the picture is.
        window: Length of the "first" and "last" parts.
    """
    answers = timeline.answers
    seconds = [answer.seconds for answer in answers]
    during = [answer.seconds for answer in timeline.during_swaps()]
    return DemoReport(
        requests=len(answers) + len(timeline.failures),
        failed=len(timeline.failures),
        window=window,
        accuracy_first=accuracy(answers[:window]),
        accuracy_last=accuracy(answers[-window:]),
        best_alone=max(measured.alone.values()),
        mean_alone=statistics.fmean(measured.alone.values()),
        variants=_variants(timeline, measured.alone, window),
        swaps=timeline.swaps,
        median_request=statistics.median(seconds),
        longest_request_in_swap=max(during, default=0.0),
        longest_wait_in_swap=timeline.longest_wait(),
        first_token=measured.first_token,
        prefill_speed=measured.first_token.prompt_tokens / measured.first_token.cold,
        decode_speed=measured.decode_speed,
        answering=timeline.seconds,
        peak_memory=measured.peak_memory,
        plot=plot,
    )


def _variants(timeline: Timeline, alone: Mapping[str, float], window: int) -> tuple[VariantFigures, ...]:
    figures = []
    for name in sorted(alone, key=alone.__getitem__, reverse=True):
        own = [answer for answer in timeline.answers if answer.variant == name]
        last = sum(answer.variant == name for answer in timeline.answers[-window:])
        figures.append(
            VariantFigures(
                name=name,
                share=len(own) / len(timeline.answers),
                share_last=last / window,
                accuracy=accuracy(own) if own else None,
                accuracy_alone=alone[name],
            )
        )
    return tuple(figures)
