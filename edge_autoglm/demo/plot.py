"""The demo's picture: accuracy and variant shares over time, with the moments of the swaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_autoglm.demo.timeline import Answered, Timeline
from edge_autoglm.plotting import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOW = 80
"""Requests over which the curves are smoothed."""


def plot_timeline(timeline: Timeline, path: Path) -> None:
    """Write the picture as a PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
        EdgeAutoGLMError: The file cannot be written.
    """
    figure = new_figure(10, 7)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_accuracy(upper, timeline.answers)
    _draw_shares(lower, timeline.answers)
    _mark_swaps(upper, timeline)
    _mark_swaps(lower, timeline)
    figure.legend(*lower.get_legend_handles_labels(), loc="outside right center", title="variant")
    save_figure(figure, path)


def rolling_mean(values: Sequence[float], window: int) -> npt.NDArray[np.float64]:
    """Mean of the last ``window`` values at every position, of all values so far where there are fewer."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(sums))
    starts = np.maximum(ends - window, 0)
    means: npt.NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def _draw_accuracy(axes: Axes, answers: Sequence[Answered]) -> None:
    curve = rolling_mean([float(answer.correct) for answer in answers], WINDOW)
    axes.plot(np.arange(1, len(curve) + 1), curve, color="black", linewidth=2)
    axes.set_title("Learning from feedback while generations are swapped in live (dashed: policy, solid: prompt set)")
    axes.set_ylabel(f"accuracy, last {WINDOW} requests")
    axes.set_ylim(0.3, 1.0)
    axes.grid(alpha=0.3)


def _draw_shares(axes: Axes, answers: Sequence[Answered]) -> None:
    variants = sorted({answer.variant for answer in answers})
    shares = [rolling_mean([float(answer.variant == name) for answer in answers], WINDOW) for name in variants]
    axes.stackplot(np.arange(1, len(answers) + 1), *shares, labels=variants, alpha=0.8)
    axes.set_ylabel(f"variant share, last {WINDOW} requests")
    axes.set_xlabel("requests answered")
    axes.set_ylim(0.0, 1.0)
    axes.set_xlim(1, len(answers))


def _mark_swaps(axes: Axes, timeline: Timeline) -> None:
    for swap in timeline.swaps:
        if swap.generation is None:
            continue
        live = 1 + sum(answer.started < swap.ended for answer in timeline.answers)
        axes.axvline(live, color="black", linestyle="-" if swap.kind == "prompts" else "--", linewidth=1.2)
        axes.text(live, 0.98, f" {swap.generation}", transform=axes.get_xaxis_transform(), va="top", fontsize=9)
