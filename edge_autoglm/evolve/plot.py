"""The picture of a search: how good the variants are, what operators brought, and how the search went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_autoglm.evolve.report import EvolveReport
from edge_autoglm.plotting import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_report(report: EvolveReport, path: Path) -> None:
    """Write the picture as a PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
        EdgeAutoGLMError: The file cannot be written.
    """
    figure = new_figure(14, 4.4)
    calls = report.calls
    figure.suptitle(f"{report.task}: {report.candidates} prompts tried with {calls['search']} scored prompts")
    variants, operators, course = figure.subplots(1, 3)
    _draw_variants(variants, report)
    _draw_operators(operators, report)
    _draw_course(course, report)
    save_figure(figure, path)


def _draw_variants(axes: Axes, report: EvolveReport) -> None:
    shown = list(reversed(report.variants))
    for row, variant in enumerate(shown):
        marks = [(variant.validation.value, "tab:gray", "chosen by", -0.12)]
        if variant.test is not None:
            marks.append((variant.test.value, "tab:blue", "test", 0.12))
        for value, color, label, offset in marks:
            ends = [[max(value.estimate - value.low, 0.0)], [max(value.high - value.estimate, 0.0)]]
            first = label if row == 0 else None
            axes.errorbar([value.estimate], [row + offset], xerr=ends, fmt="o", color=color, capsize=3, label=first)
    names = [f"{each.name}\n{each.prompt_tokens:.0f} tokens, {each.static_tokens} resident" for each in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.set_xlabel(f"{report.metric}, 95 %")
    axes.set_title("variants")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best")


def _draw_operators(axes: Axes, report: EvolveReport) -> None:
    shown = list(reversed(report.operators))
    rows = np.arange(len(shown))
    axes.barh(rows, [each.mean_gain for each in shown], color="tab:blue", label="mean")
    axes.plot([each.best_gain for each in shown], rows, "|", color="black", markersize=12, label="best")
    axes.set_yticks(rows, [f"{each.operator} ({each.better}/{each.tried})" for each in shown])
    axes.set_xlabel(f"gain in {report.metric}")
    axes.set_title("operators (better/tried)")
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    if shown:
        axes.legend(loc="lower right")


def _draw_course(axes: Axes, report: EvolveReport) -> None:
    points = [each for each in report.generations if each.count]
    axes.plot([each.calls for each in points], [each.best for each in points], "o-", color="tab:orange")
    axes.set_xlabel("scored prompts")
    axes.set_ylabel(f"{report.metric} of the best, on what it was chosen by")
    axes.set_title("course of the search")
    axes.grid(alpha=0.3)
