"""``edge-autoglm learn experiments``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.cli.learn.experiment_plots import plot_experiments
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.experiments.results import ExperimentResult
from edge_autoglm.learn.reading import read_experiments
from edge_autoglm.plotting import require_matplotlib


@click.command()
@click.argument("state", type=click.Path(path_type=Path))
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Also draw the intervals over feedback (PNG)."
)
@json_option
def experiments(state: Path, plot: Path | None, json_file: Path | None) -> None:
    """Show how the experiments (A/B) in the state folder STATE stand.

    A unit is a session, or a request without one; it counts once, with its mean reward. Intervals hold at every moment
    at once, so look as often as you like and stop when you like. A running app follows the file that
    RuntimeConfig.experiments names:

    \b
    version: 1
    experiments:
      - name: politer
        task: reply
        variants: [plain, polite]   # the others are compared with the first
        rollout: 0.2                # share of sessions that take part
    """
    if plot is not None:
        require_matplotlib()
    with progress_bars() as progress:
        results = read_experiments(state, progress)
    for result in results:
        _show(result)
    if not results:
        console.print("no experiment has decided anything yet")
    if plot is not None and results:
        plot_experiments(results, plot)
        console.print(f"drawn: {plot}", markup=False)
    write_json(json_file, {"experiments": [asdict(result) for result in results]})


def _show(result: ExperimentResult) -> None:
    title = escape(f"{result.name}, version {result.version} (task {result.task})")
    columns = ("variant", "share", "units", "decisions", "feedbacks", "mean reward", "of a unit")
    table = Table(*columns, title=title, title_justify="left")
    for variant in result.variants:
        counts = str(variant.units), str(variant.decisions), str(variant.feedbacks)
        mean = "-" if variant.mean_reward is None else f"{variant.mean_reward:.3f}"
        known = _bounds(variant.interval) if variant.counted else "-"
        table.add_row(escape(variant.variant), f"{variant.share:.1%}", *counts, mean, known)
    console.print(table)
    wrong = any(check.mismatch for check in result.checks)
    console.print(result.verdict, style="bold red" if wrong else None, markup=False)


def _bounds(interval: Interval) -> str:
    return f"{interval.low:.3f}-{interval.high:.3f}"
