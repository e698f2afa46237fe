"""``edge-autoglm learn``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from edge_autoglm.cli.output import console, json_option, write_json
from edge_autoglm.learn.learner import read_status


@click.group()
def command() -> None:
    """Look into what a device has learnt."""


@command.command()
@click.argument("state", type=click.Path(path_type=Path))
@json_option
def status(state: Path, json_file: Path | None) -> None:
    """Show how often each variant answered and what feedback it earned, from the state folder STATE."""
    report = read_status(state)
    table = Table("task", "variant", "pulls", "feedbacks", "mean reward", "share of last 200")
    for arm in report.arms:
        mean = "-" if arm.mean_reward is None else f"{arm.mean_reward:.3f}"
        table.add_row(arm.task, arm.arm, str(arm.pulls), str(arm.feedbacks), mean, f"{arm.recent_share:.2f}")
    console.print(table)
    console.print(f"{report.decisions} decisions, {report.feedbacks} rewards, {report.pending} waiting for theirs")
    write_json(json_file, asdict(report))
