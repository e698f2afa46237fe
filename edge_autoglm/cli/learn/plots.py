"""Pictures of what was learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_autoglm.learn.evaluation.value import PolicyValue
from edge_autoglm.learn.winners import Winners
from edge_autoglm.plotting import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_winners(winners: Sequence[Winners], path: Path) -> None:
    """Expected rewards as a map of variants and kinds of requests; the winner of each kind is framed.

    Raises:
        MissingDependency: matplotlib is not installed.
        EdgeAutoGLMError: The file cannot be written.
    """
    panels = max(1, len(winners))
    figure = new_figure(9, 1.5 + panels * 3.5)
    for axes, found in zip(figure.subplots(panels, 1, squeeze=False)[:, 0], winners, strict=False):
        _draw_winners(axes, found)
    save_figure(figure, path)


def _draw_winners(axes: Axes, winners: Winners) -> None:
    means = np.array([region.means for region in winners.regions]).T
    image = axes.imshow(means, aspect="auto", cmap="viridis", vmin=0.0, vmax=1.0)
    axes.set_title(f"{winners.task}: expected reward")
    axes.set_yticks(range(len(winners.arms)), winners.arms)
    axes.set_xticks(range(len(winners.regions)), [region.name for region in winners.regions], rotation=30, ha="right")
    for column, region in enumerate(winners.regions):
        for row, mean in enumerate(region.means):
            best = winners.arms[row] == winners.winner(region)
            frame = {"boxstyle": "square", "edgecolor": "white", "facecolor": "none"} if best else None
            axes.text(
                column,
                row,
                f"{mean:.2f}",
                ha="center",
                va="center",
                color="white" if mean < 0.7 else "black",
                bbox=frame,
            )
    axes.figure.colorbar(image, ax=axes)


def plot_values(values: Mapping[tuple[str, str], PolicyValue], path: Path) -> None:
    """Doubly robust estimates as rewards came in, with their bounds; a panel a task.

    Raises:
        MissingDependency: matplotlib is not installed.
        EdgeAutoGLMError: The file cannot be written.
    """
    tasks = sorted({task for task, _ in values})
    figure = new_figure(9, 1.0 + 3.5 * len(tasks))
    for axes, task in zip(figure.subplots(len(tasks), 1, squeeze=False)[:, 0], tasks, strict=True):
        _draw_values(axes, task, {name: value for (of, name), value in values.items() if of == task})
    save_figure(figure, path)


def _draw_values(axes: Axes, task: str, values: Mapping[str, PolicyValue]) -> None:
    for number, (name, value) in enumerate(values.items()):
        course, color = value.courses["dr"], f"C{number}"
        axes.plot(value.counts, course.estimates, color=color, label=f"{name} {value.dr.estimate:.3f}")
        axes.fill_between(value.counts, course.low, course.high, color=color, alpha=0.15)
        axes.axhline(value.logged, color="black", linestyle=":", label="the log" if number == 0 else None)
    axes.set_title(f"{task}: what the policy would have earned (doubly robust, {1 - value.alpha:.0%} at any time)")
    axes.set_xlabel("rewards")
    axes.set_ylabel("mean reward")
    axes.set_ylim(0.0, 1.0)
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
