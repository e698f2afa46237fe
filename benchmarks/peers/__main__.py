"""Peers side by side: prepare their models, measure, and make the page from the records.

    python -m benchmarks.peers prepare FOLDER [--model qwen2.5-0.5b] [--bundle int8=PATH]
    python -m benchmarks.peers run single FOLDER [--python openvino=PATH]
    python -m benchmarks.peers page

Each contestant runs in a process of its own, in the interpreter that has its package.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from benchmarks import record
from benchmarks.peers.client import PeerFailure
from benchmarks.peers.experiments import EXPERIMENTS
from benchmarks.peers.lineup import choose
from benchmarks.peers.models import MODELS, OWN_PRECISIONS, PREPARED, SMOLLM2, Preparation, prepare
from benchmarks.peers.page import write_page
from benchmarks.peers.run import Campaign, measure
from benchmarks.peers.worker import KINDS
from edge_autoglm.demo.model import fetch_model
from edge_autoglm.device.threads import default_threads

_FOLDER = click.Path(path_type=Path, file_okay=False)


def _pairs(allowed: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    """Options of the form ``NAME=VALUE``."""
    pairs: dict[str, str] = {}
    for value in values:
        name, _, path = value.partition("=")
        if name not in allowed or not path:
            raise click.BadParameter(f"{value}: give NAME=PATH, NAME one of {', '.join(allowed)}")
        pairs[name] = path
    return pairs


@click.group()
def main() -> None:
    """Peers side by side."""


@main.command("prepare")
@click.argument("folder", type=_FOLDER)
@click.option("--model", type=click.Choice(MODELS), default=SMOLLM2, show_default=True)
@click.option("--source", type=click.Path(path_type=Path, exists=True), help="SmolLM2's GGUF file, if at hand.")
@click.option("--bundle", "bundles", multiple=True, help="PRECISION=PATH of a bundle of ours that exists already.")
@click.option("--genai-python", default=sys.executable, help="Has onnxruntime-genai, torch, transformers, onnx-ir.")
def prepare_command(folder: Path, model: str, source: Path | None, bundles: tuple[str, ...], genai_python: str) -> None:
    """Make the models of all contestants in FOLDER; what is there already is kept."""
    own = {name: Path(path) for name, path in _pairs(OWN_PRECISIONS, bundles).items()}
    preparation = Preparation(model, source or fetch_model(), folder.resolve(), own, genai_python)
    failed = prepare(preparation, lambda what: click.echo(what))
    click.echo(f"{folder}: ready" + (f", but for {', '.join(failed)}" if failed else ""))


@main.command("run")
@click.argument("experiment", type=click.Choice(list(EXPERIMENTS)))
@click.argument("folder", type=_FOLDER)
@click.option("--python", "pythons", multiple=True, help="KIND=INTERPRETER, where it is not this one.")
@click.option("--only", multiple=True, help="Name of a contestant, as the tables have it; by default all that suit.")
@click.option("--rounds", type=click.IntRange(1), help="By default the experiment's own number.")
@click.option("--new-tokens", type=click.IntRange(2), help="Likewise.")
@click.option("--threads", type=click.IntRange(1), default=default_threads, show_default="what the machine grants")
@click.option("--limit", default=300.0, show_default=True, help="Seconds that any answer may take.")
@click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder for the record.")
def run_command(
    experiment: str,
    folder: Path,
    pythons: tuple[str, ...],
    only: tuple[str, ...],
    rounds: int | None,
    new_tokens: int | None,
    threads: int,
    limit: float,
    records: Path,
) -> None:
    """Measure EXPERIMENT over the models in FOLDER and write its record."""
    if not (folder / PREPARED).exists():
        raise click.ClickException(f"{folder} holds no prepared models: run `python -m benchmarks.peers prepare` first")
    chosen = EXPERIMENTS[experiment]
    try:
        entries = tuple(choose(only or chosen.names))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    campaign = Campaign(
        name=experiment,
        models=folder,
        entries=entries,
        interpreters=_pairs(tuple(KINDS), pythons),
        threads=threads,
        rounds=rounds or chosen.rounds,
        new_tokens=new_tokens or chosen.new_tokens,
        limit=limit,
        records=records,
    )
    try:
        click.echo(f"record: {measure(campaign, Console())}")
    except PeerFailure as failure:
        raise click.ClickException(str(failure)) from failure


@main.command("page")
@click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder with the records; the page goes there.")
def page_command(records: Path) -> None:
    """Make the page, with its plots, from the records."""
    try:
        click.echo(f"page: {write_page(records)}")
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
