"""``edge-autoglm learn status``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.cli.learn.generations import generations_table
from edge_autoglm.cli.learn.options import policy_option
from edge_autoglm.cli.learn.plots import plot_winners
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.learn.evaluation.logged import LoggedDecision
from edge_autoglm.learn.log import read_log
from edge_autoglm.learn.models.base import RewardModel
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.reading import read_policy, read_status
from edge_autoglm.learn.status import LearnerStatus
from edge_autoglm.learn.winners import Winners, find_winners
from edge_autoglm.plotting import require_matplotlib
from edge_autoglm.swap.store.listing import list_generations
from edge_autoglm.values import Progress

_ASKED = 1000
"""The newest requests of a task that the policy is asked about."""


@click.command()
@click.argument("state", type=click.Path(path_type=Path))
@policy_option
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Also draw which variant wins where (PNG)."
)
@json_option
def status(state: Path, name: str, plot: Path | None, json_file: Path | None) -> None:
    """Show what each variant earned, and which one wins where, from the state folder STATE.

    The second table says what the policy expects of each variant on the requests that were made: on all of them, and
    on those with the lowest and highest third of the features that matter most to the choice. The last table shows the
    generations that are kept, and which one a restart comes up on: see `learn promote` and `learn rollback`.
    """
    if plot is not None:
        require_matplotlib()
    with progress_bars() as progress:
        report = read_status(state, progress)
        winners = _winners(state, name, progress)
    generations = list_generations(state)
    _show(report)
    for found in winners:
        console.print(_winners_table(found))
    if generations:
        console.print(generations_table(generations))
    if plot is not None:
        plot_winners(winners, plot)
        console.print(f"drawn: {plot}", markup=False)
    figures = {
        "winners": [asdict(found) for found in winners],
        "generations": [one.figures() for one in generations],
    }
    write_json(json_file, {**asdict(report), **figures})


def _winners(state: Path, name: str, progress: Progress) -> list[Winners]:
    policy = read_policy(state, make_policy(name), progress)
    found = (_winners_of(policy.model, log) for _, log in sorted(read_log(state, progress).items()))
    return [winners for winners in found if winners is not None]


def _winners_of(model: RewardModel, log: Sequence[LoggedDecision]) -> Winners | None:
    """Among the variants that the newest request had."""
    newest = log[-_ASKED:]
    return find_winners(model, newest[-1].arms, [logged.features for logged in newest])


def _show(report: LearnerStatus) -> None:
    table = Table("task", "variant", "pulls", "feedbacks", "mean reward", "share of last 200")
    for arm in report.arms:
        mean = "-" if arm.mean_reward is None else f"{arm.mean_reward:.3f}"
        figures = str(arm.pulls), str(arm.feedbacks), mean, f"{arm.recent_share:.2f}"
        table.add_row(escape(arm.task), escape(arm.arm), *figures)
    console.print(table)
    counts = f"{report.decisions} decisions, {report.feedbacks} rewards, {report.pending} waiting for theirs"
    console.print(f"{counts}, {report.expired} expired, {report.capped} capped, {report.merges} merges")
    for task, alarms in report.drift_alarms.items():
        console.print(f"drift: what was learnt of {task} was found out of date {alarms} times", markup=False)
    for task, alarm in report.rate_alarms.items():
        console.print(f"{task}: {alarm.explain()}", style="bold red", markup=False)


def _winners_table(winners: Winners) -> Table:
    table = Table("requests", "number", *map(escape, winners.arms), title=f"expected reward: {escape(winners.task)}")
    for region in winners.regions:
        best = winners.winner(region)
        means = zip(winners.arms, region.means, strict=True)
        cells = [f"[bold]{mean:.3f}[/bold]" if arm == best else f"{mean:.3f}" for arm, mean in means]
        table.add_row(escape(region.name), str(region.requests), *cells)
    return table
