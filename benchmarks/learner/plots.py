"""Pictures of the page, drawn from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.learner.results import Results
from benchmarks.learner.settings import LINUCB, MAIN
from benchmarks.learner.units import FIXED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 90
_COLUMNS = 4


def draw_curves(results: Results, path: Path) -> None:
    """Error so far on every stream: ours, VW's best on that stream, River's LinUCB, and the best fixed arm."""
    streams = list(results.streams)
    figure, axes = _figure(-(-len(streams) // _COLUMNS), _COLUMNS)
    for place, stream in zip(axes, streams, strict=False):
        steps = results.streams[stream]["steps"]
        best_vw, _ = results.best(stream, "vw")
        for name, label, colour in (
            (MAIN, MAIN, "tab:blue"),
            (best_vw, "best VW", "tab:orange"),
            (LINUCB, LINUCB, "tab:green"),
        ):
            curve = results.curve(stream, name)
            at = [steps * number / (len(curve) - 1) for number in range(len(curve))]
            place.plot(at[1:], curve[1:], color=colour, label=label)
        place.axhline(results.mean(stream, FIXED), color="tab:gray", linestyle=":", label=FIXED)
        place.set_title(stream, fontsize=10)
        place.set_ylim(bottom=0)
        place.grid(alpha=0.3)
    for place in axes[len(streams) :]:
        place.set_visible(False)
    axes[0].legend(fontsize=7)
    figure.supxlabel("steps")
    figure.supylabel("error so far, mean over the seeds")
    figure.savefig(path, dpi=_DPI)


def draw_boxes(samples: Mapping[str, Sequence[float]], path: Path, label: str) -> None:
    """Every contestant's samples on one axis: median, quartiles, and 5 to 95 per cent."""
    figure, [place] = _figure(1, 1)
    names = list(samples)[::-1]
    place.boxplot([list(samples[name]) for name in names], orientation="horizontal", whis=(5, 95), showfliers=False)
    place.set_yticks(range(1, len(names) + 1), names)
    place.set_xscale("log")
    place.set_xlabel(label)
    place.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=_DPI)


def draw_channels(means: Mapping[str, float], streams: Sequence[str], channels: Sequence[str], path: Path) -> None:
    """Error of the last quarter by stream and channel."""
    figure, [place] = _figure(1, 1)
    width = 0.8 / len(channels)
    for number, channel in enumerate(channels):
        at = [stream + (number - (len(channels) - 1) / 2) * width for stream in range(len(streams))]
        place.bar(at, [means[f"{stream}/{channel}"] for stream in streams], width, label=channel)
    place.set_xticks(range(len(streams)), streams)
    place.set_ylabel("error of the last quarter")
    place.legend(fontsize=8)
    place.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=_DPI)


def draw_promotions(samples: Mapping[str, Sequence[float]], path: Path) -> None:
    """Share of runs promoted by the number of feedbacks."""
    figure, [place] = _figure(1, 1)
    for name, values in samples.items():
        if not name.startswith("coverage"):
            promoted = sorted(value for value in values if value >= 0)
            shares = [(number + 1) / len(values) for number in range(len(promoted))]
            place.step([0.0, *promoted], [0.0, *shares], where="post", label=name.replace("/", ", champion at "))
    place.set_xlabel("feedbacks")
    place.set_ylabel("share of runs promoted so far")
    place.legend(fontsize=8)
    place.grid(alpha=0.3)
    figure.savefig(path, dpi=_DPI)


def _figure(rows: int, columns: int) -> tuple[Figure, Sequence[Axes]]:
    """Without pyplot, which keeps figures and chooses a backend by the display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (3.2 * columns, 2.5 * rows) if columns > 1 else (8, 4)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)
