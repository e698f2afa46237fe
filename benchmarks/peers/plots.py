"""Pictures of the page, drawn from records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.lineup import OWN
from benchmarks.peers.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_OWN_COLOUR, _PEER_COLOUR = "tab:blue", "tab:gray"
_MARKERS = "osD^vP*X"


def draw_bars(results: Results, path: Path, panels: Sequence[tuple[str, str, str]]) -> None:
    """Median of each contestant with every sample as a dot.

    Args:
        results: The record.
        path: PNG to write.
        panels: Case, metric and label of each panel.
    """
    figure, axes = _figure(len(panels), 0.45 * len(results.contestants) + 1.2)
    for place, (case, metric, label) in zip(axes, panels, strict=True):
        for height, name in enumerate(reversed(results.contestants)):
            values = results.values(name, case, metric)
            if values:
                place.barh(height, statistics.median(values), color=_colour(name), alpha=0.6)
                place.plot(values, [height] * len(values), "|", color="black", markersize=8)
        place.set_yticks(range(len(results.contestants)), reversed(results.contestants))
        place.set_xlabel(label)
        place.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=_DPI)


def draw_growth(results: Results, path: Path, x_label: str, panels: Sequence[tuple[str, str]]) -> None:
    """Medians over cases whose names are numbers.

    Args:
        results: The record.
        path: PNG to write.
        x_label: What the numbers are.
        panels: Metric and label of each panel.
    """
    figure, axes = _figure(len(panels), 4.5)
    for place, (metric, label) in zip(axes, panels, strict=True):
        for number, name in enumerate(results.contestants):
            points = [(int(case), results.median(name, case, metric)) for case in results.cases]
            known = [(x, y) for x, y in points if y is not None]
            style = "-" if name.startswith(OWN) else "--"
            place.plot(
                *zip(*known, strict=True), style + _MARKERS[number % len(_MARKERS)], label=name
            ) if known else None
        _logarithmic(place, results, x_label, label)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=_DPI)


def _logarithmic(place: Axes, results: Results, x_label: str, label: str) -> None:
    place.set_xscale("log", base=2)
    place.set_xticks([int(case) for case in results.cases], results.cases)
    place.set_xlabel(x_label)
    place.set_ylabel(label)
    place.set_ylim(bottom=0)
    place.grid(alpha=0.3)


def _figure(panels: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    """Without pyplot, which keeps figures and chooses a backend by the display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * panels, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(1, panels, squeeze=False)[0]
    return figure, axes


def _colour(name: str) -> str:
    return _OWN_COLOUR if name.startswith(OWN) else _PEER_COLOUR
