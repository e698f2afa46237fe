"""The picture of a benchmark: inter-token latencies, how they grow along the answer, and first tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_autoglm.bench.report import BenchReport
from edge_autoglm.bench.samples import RequestSample, all_requests
from edge_autoglm.bench.summary import Summary
from edge_autoglm.plotting import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_report(report: BenchReport, path: Path) -> None:
    """Write the picture as a PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
        EdgeAutoGLMError: The file cannot be written.
    """
    requests, figures = all_requests(report.rounds), report.figures()
    figure = new_figure(13, 4.2)
    bundle, config = report.bundle, report.config
    figure.suptitle(
        f"{bundle.model} {bundle.precision}, {config.prompt_tokens} + {config.new_tokens} tokens, "
        f"{config.concurrency} at once, {report.threads} threads"
    )
    distribution, along, first = figure.subplots(1, 3)
    _draw_distribution(distribution, requests, figures["inter_token"])
    _draw_along(along, requests)
    _draw_first(first, report, figures["ttft"])
    save_figure(figure, path)


def _draw_distribution(axes: Axes, requests: Sequence[RequestSample], summary: Summary | None) -> None:
    axes.set_title("inter-token latency")
    axes.set_xlabel("ms")
    axes.set_ylabel("share of tokens that took no longer")
    if summary is None:
        return
    gaps = np.sort([gap for request in requests for gap in request.gaps]) * 1e3
    axes.step(gaps, np.arange(1, len(gaps) + 1) / len(gaps), where="post", color="black")
    for name, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
        value = getattr(summary, name) * 1e3
        axes.axvline(value, linestyle=style, color="tab:blue", label=f"{name} {value:.1f} ms")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)


def _draw_along(axes: Axes, requests: Sequence[RequestSample]) -> None:
    axes.set_title("inter-token latency along the answer")
    axes.set_xlabel("piece of the answer")
    axes.set_ylabel("ms")
    for request in requests:
        gaps = request.gaps
        axes.plot(np.arange(2, len(gaps) + 2), np.array(gaps) * 1e3, ".", markersize=2, color="tab:blue", alpha=0.5)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _draw_first(axes: Axes, report: BenchReport, summary: Summary | None) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title("first token")
    axes.set_xlabel("round")
    axes.set_ylabel("ms")
    for number, each in enumerate(report.rounds, start=1):
        axes.plot([number] * len(each.requests), [r.ttft * 1e3 for r in each.requests], "o", color="tab:orange")
    if summary is not None:
        axes.axhline(summary.p50 * 1e3, color="black", linewidth=1, label=f"median {summary.p50 * 1e3:.1f} ms")
        axes.set_ylim(0, summary.max * 1.1e3)
        axes.legend(loc="lower right")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
