"""The precision table as people read it: rows on the console, and a picture of what a byte and a second buy."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.contestants import Contestant
from edge_autoglm.export.proof.divergence import DivergenceFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MEGABYTE = 1e6
_PEER = "llama.cpp"
_WIDTH = 110
_LEAST_KL = 1e-5
"""Below this the picture does not tell engines apart: rounding."""


@dataclass(frozen=True, slots=True)
class Row:
    """One engine over one text.

    Attributes:
        name: Of the engine.
        nbytes: On disk.
        perplexity: Of the text.
        perplexity_change: Against our float32 engine; 0.01 is one per cent more.
        kl: Mean ``KL(fp32 || engine)`` a token, in nats.
        top1: Share of tokens for which both find the same token most probable.
        prefill: Tokens a second, median.
        decode: Likewise.
    """

    name: str
    nbytes: int
    perplexity: float
    perplexity_change: float
    kl: float
    top1: float
    prefill: float
    decode: float

    @classmethod
    def of(cls, engine: Contestant, figures: DivergenceFigures, samples: Mapping[str, Sequence[float]]) -> Row:
        """Of an engine's figures and its samples ``NAME prefill`` and ``NAME decode``."""
        return cls(
            name=engine.name,
            nbytes=engine.nbytes,
            perplexity=figures.perplexity,
            perplexity_change=figures.perplexity / figures.reference_perplexity - 1,
            kl=figures.kl,
            top1=figures.top1,
            prefill=statistics.median(samples[f"{engine.name} prefill"]),
            decode=statistics.median(samples[f"{engine.name} decode"]),
        )


def print_rows(rows: Sequence[Row], text: str) -> None:
    """Print the table of one text."""
    table = Table(title=f"Precisions on {text}, against our fp32 engine")
    for heading in ("engine", "MB", "perplexity", "change", "KL, nats", "top-1", "prefill tok/s", "decode tok/s"):
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.nbytes / _MEGABYTE:.1f}",
            f"{row.perplexity:.3f}",
            f"{row.perplexity_change:+.2%}",
            f"{row.kl:.3g}",
            f"{row.top1:.1%}",
            f"{row.prefill:.0f}",
            f"{row.decode:.0f}",
        )
    table.caption = (
        "A GGUF file holds the tokenizer too. llama.cpp F32 has the same weights as fp32: its KL is rounding"
    )
    Console(width=_WIDTH).print(table)


def plot_rows(rows: Sequence[Row], path: Path) -> None:
    """Draw KL against size, and against speed of decoding, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    by_size, by_speed = figure.subplots(1, 2, sharey=True)
    quantised = [row for row in rows if row.kl >= _LEAST_KL]
    _scatter(by_size, quantised, [row.nbytes / _MEGABYTE for row in quantised])
    _scatter(by_speed, quantised, [row.decode for row in quantised])
    by_size.set_xlabel("size, MB")
    by_size.set_ylabel("KL(fp32 || engine), nats a token")
    by_speed.set_xlabel("decoding, tokens a second")
    figure.savefig(path, dpi=110)


def _scatter(axes: Axes, rows: Sequence[Row], places: Sequence[float]) -> None:
    for row, place in zip(rows, places, strict=True):
        is_peer = row.name.startswith(_PEER)
        axes.plot(place, row.kl, "s" if is_peer else "o", color="tab:gray" if is_peer else "tab:blue")
        axes.annotate(
            row.name, (place, row.kl), xytext=(5, 4 if is_peer else -12), textcoords="offset points", fontsize=9
        )
    axes.set_yscale("log")
    axes.margins(x=0.2, y=0.1)
    axes.grid(alpha=0.3)
