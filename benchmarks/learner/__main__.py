"""The learner beside Vowpal Wabbit and River.

    python -m benchmarks.learner tune             (freezes the peers' settings; commit the file)
    python -m benchmarks.learner run | robust | speed | nulls
    python -m benchmarks.learner page

Needs vowpalwabbit, river, scikit-learn, scipy, matplotlib, joblib and fonttools; downloads nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from benchmarks import record
from benchmarks.learner import nulls, robust, run, speed
from benchmarks.learner.page import recorded_checks, spelled, write_page
from benchmarks.learner.sentiment import SNIPPETS
from benchmarks.learner.settings import FILE, read_entries
from benchmarks.learner.streams import without_sentiment
from benchmarks.learner.tune import tune

_FOLDER = click.Path(path_type=Path, file_okay=False)
_workers = click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
_seeds = click.option("--seeds", type=click.IntRange(1), default=10, show_default=True)
_records = click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder for the record.")
_only = click.option("--stream", "only", multiple=True, help="Name of a stream; by default all.")
_snippets = click.option(
    "--snippets", type=_FOLDER, default=SNIPPETS, help="Folder of movies.tsv and tweets.tsv, for the sentiment stream."
)


@click.group()
def main() -> None:
    """The learner beside Vowpal Wabbit and River."""


@main.command("tune")
@click.option("--limit", type=click.IntRange(100), default=1000, show_default=True, help="Most steps of a stream.")
@click.option("--out", type=click.Path(path_type=Path), default=FILE, help="File to write.")
@_workers
@_snippets
def tune_command(limit: int, out: Path, workers: int, snippets: Path) -> None:
    """Choose the peers' settings on the tuning streams, none of which is reported."""
    _warn_without_sentiment(snippets)
    for entry, error in tune(snippets, limit, workers, out, Console()):
        click.echo(f"{error:.4f} {entry.name} {entry.options}")
    click.echo(f"settings: {out}")


@main.command("run")
@click.option("--limit", type=click.IntRange(100), default=4000, show_default=True, help="Most steps of a stream.")
@click.option("--resume", is_flag=True, help="Keep what an interrupted run of the same code and settings finished.")
@_seeds
@_workers
@_only
@_snippets
@_records
def run_command(
    limit: int, resume: bool, seeds: int, workers: int, only: tuple[str, ...], snippets: Path, records: Path
) -> None:
    """Play all streams with everybody and write the record."""
    _warn_without_sentiment(snippets)
    try:
        entries = read_entries()
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error
    campaign = run.Campaign(entries, only, seeds, limit, workers, snippets, resume, records)
    _report(run.NAME, run.run(campaign, Console()))


@main.command("robust")
@click.option("--limit", type=click.IntRange(400), default=10_000, show_default=True, help="Most steps of a stream.")
@_seeds
@_workers
@_only
@_snippets
@_records
def robust_command(limit: int, seeds: int, workers: int, only: tuple[str, ...], snippets: Path, records: Path) -> None:
    """Feedback that is late, missing, wrong or hostile, through the learner."""
    _report(robust.NAME, robust.run(seeds, limit, workers, snippets, only, records, Console()))


@main.command("speed")
@click.option("--rounds", type=click.IntRange(10), default=600, show_default=True)
@_records
def speed_command(rounds: int, records: Path) -> None:
    """Time one decision and its feedback; run it alone."""
    _report(speed.NAME, speed.run(read_entries(), rounds, records, Console()))


@main.command("nulls")
@click.option("--runs", type=click.IntRange(4), default=2000, show_default=True, help="Without a difference.")
@click.option("--steps", type=click.IntRange(100), default=2000, show_default=True, help="Feedbacks of a run.")
@_workers
@_records
def nulls_command(runs: int, steps: int, workers: int, records: Path) -> None:
    """False and true promotions of the gate, and what off-policy intervals cover."""
    _report(nulls.NAME, nulls.run(runs, steps, workers, records, Console()))


@main.command("page")
@click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder with the records; the page goes there.")
def page_command(records: Path) -> None:
    """Make the page, with its plots, from the records."""
    try:
        click.echo(f"page: {write_page(records)}")
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error


def _report(name: str, path: Path) -> None:
    for line in spelled(recorded_checks(name, json.loads(path.read_text(encoding="utf-8")))):
        click.echo(line)
    click.echo(f"record: {path}")


def _warn_without_sentiment(snippets: Path) -> None:
    reason = without_sentiment(snippets)
    if reason is not None:
        click.echo(f"without the sentiment stream: {reason}", err=True)


if __name__ == "__main__":
    main()
