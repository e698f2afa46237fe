"""Figures as files: matplotlib without its global state."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.errors import EdgeAutoGLMError, MissingDependency

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def require_matplotlib() -> None:
    """Find out before long work whether a plot can be drawn, without loading what draws it.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependency(
            "the plot needs the package matplotlib", 'Install it: pip install "edge-autoglm[bench]".'
        )


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # not pyplot: no global state, no window system
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG.

    Raises:
        EdgeAutoGLMError: The file cannot be written.
    """
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise EdgeAutoGLMError(f"{path}: cannot be written: {error.strerror}", "Name a writable file.") from error
