"""Pictures of experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.learn.experiments.results import Course, ExperimentResult
from edge_autoglm.plotting import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_experiments(results: Sequence[ExperimentResult], path: Path) -> None:
    """A row an experiment: the variants' mean rewards, and their differences to the first, as feedback came in.

    Raises:
        MissingDependency: matplotlib is not installed.
        EdgeAutoGLMError: The file cannot be written.
    """
    figure = new_figure(12, 0.5 + 3.5 * len(results))
    for (left, right), result in zip(figure.subplots(len(results), 2, squeeze=False), results, strict=True):
        _draw_means(left, result)
        _draw_differences(right, result)
    save_figure(figure, path)


def _draw_means(axes: Axes, result: ExperimentResult) -> None:
    for number, variant in enumerate(result.variants):
        _draw_course(axes, variant.course, f"C{number}", variant.variant)
    axes.set_ylim(0.0, 1.0)
    _describe(axes, f"{result.name}, version {result.version}: mean reward", "of the variant")


def _draw_differences(axes: Axes, result: ExperimentResult) -> None:
    for number, difference in enumerate(result.differences, start=1):
        _draw_course(axes, difference.course, f"C{number}", f"{difference.variant} - {difference.control}")
    axes.axhline(0.0, color="black", linestyle=":")
    axes.set_ylim(-1.0, 1.0)
    _describe(axes, f"against {result.variants[0].variant} (95 % at any time)", "of both")


def _draw_course(axes: Axes, course: Course, color: str, label: str) -> None:
    counts = [count for count, _ in course]
    axes.plot(counts, [interval.estimate for _, interval in course], color=color, label=label)
    low, high = [interval.low for _, interval in course], [interval.high for _, interval in course]
    axes.fill_between(counts, low, high, color=color, alpha=0.15)


def _describe(axes: Axes, title: str, whose: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(f"units {whose} with feedback")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
