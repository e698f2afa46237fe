"""``edge-autoglm evolve``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.cli.device_option import device_option
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.errors import EdgeAutoGLMError, EvolveError

if TYPE_CHECKING:
    from edge_autoglm.evolve import Evolved, Shares
    from edge_autoglm.evolve.report import EvolveReport, VariantReport

_INTERRUPTED = 130
"""Exit status of a program that SIGINT ended, as shells have it."""


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("task")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Labelled examples: .tsv, .csv or .jsonl with the task's inputs and a column expect (or label).",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="What is to be good: accuracy, balanced_accuracy, macro_f1 or log_loss for labels; token_f1, exact_match or "
    "contains for generated text.  [default: accuracy or token_f1]",
)
@click.option("--budget", default=6000, show_default=True, metavar="N", help="Prompts that may be scored in all.")
@click.option(
    "--strategy",
    type=click.Choice(["beam", "greedy", "random"]),
    default="beam",
    show_default=True,
    help="Rewrite the best few, the best one, or anything (to compare with).",
)
@click.option("--keep", default=3, show_default=True, metavar="N", help="New variants in the result, at most.")
@click.option(
    "--split",
    default="0.2,0.5,0.3",
    show_default=True,
    metavar="A,B,C",
    help="Shares of the examples to write prompts from, to choose by, and to judge by at the end.",
)
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of new phrases.")
@click.option("--seed", default=0, show_default=True, help="Of the split and of every draw.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Of an engine on the CPU.  [default: what the system grants]"
)
@device_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for scores, report and the new task file.  [default: evolve-TASK]",
)
@click.option("--resume", is_flag=True, help="Go on with the search in that folder.")
@click.option(
    "--bundle",
    "new_bundle",
    type=click.Path(path_type=Path),
    metavar="OUT.bundle",
    help="Also make a bundle with the new prompt set.",
)
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png", help="Also draw it.")
@json_option
def command(
    bundle: Path,
    task: str,
    data: Path,
    metric: str | None,
    budget: int,
    strategy: str,
    keep: int,
    split: str,
    language: str,
    seed: int,
    threads: int | None,
    device: str,
    out: Path | None,
    resume: bool,
    new_bundle: Path | None,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    """Search for prompts that answer TASK better than those that BUNDLE has, on your own labelled examples.

    Rewrites of the task's variants (other words, formats, roles, solved examples, label words, calibration ...) race:
    all are scored on a few examples, the better half on more, and so on; the best are rewritten again. A part of the
    examples is put aside and used once, at the end, to say how good the result is. The model on the device is all that
    is needed; 100 to 300 examples are a good start.

    The result is a folder:

    \b
    TASK.yaml      the task: its own variants, then the new ones, with how each came to be
    report.md      accuracy with intervals, tokens, what each kind of rewrite contributed; report.json has the same
    scores.jsonl   every score; a search that was stopped or killed goes on from these with --resume

    \b
    edge-autoglm evolve smollm2.bundle sentiment --data labelled.tsv --bundle better.bundle
    edge-autoglm evolve smollm2.bundle sentiment --data labelled.tsv --budget 2000 --plot search.png
    edge-autoglm evolve smollm2.bundle sentiment --data labelled.tsv --resume

    A TSV has a first line "text<tab>expect", then one example a line. An app swaps the new bundle in while it runs,
    with Runtime.swap("better.bundle").
    """
    from edge_autoglm.evolve import EvolveSettings, PromptOptimizer
    from edge_autoglm.plotting import require_matplotlib

    folder = out or Path(f"evolve-{task}")
    _check_outputs(folder, resume, new_bundle, plot, json_file)
    if plot is not None:
        require_matplotlib()
    settings = EvolveSettings(
        strategy=strategy,  # type: ignore[arg-type]  # click has checked both choices
        metric=metric,
        budget=budget,
        keep=keep,
        shares=_shares(split),
        language=language,  # type: ignore[arg-type]
        seed=seed,
    )
    try:
        with progress_bars() as progress:
            optimizer = PromptOptimizer(bundle, task, settings, threads=threads, device=device)
            evolved = optimizer.evolve(data, folder, progress)
    except KeyboardInterrupt:
        click.echo(f"Interrupted; every score so far is in {folder}. Go on with: {_resuming()}", err=True)
        raise click.exceptions.Exit(_INTERRUPTED) from None
    _write(evolved, folder, new_bundle, plot)
    console.print(_table(evolved.report))
    console.print(_closing(evolved, folder, new_bundle), soft_wrap=True, markup=False)
    write_json(json_file, evolved.report.to_json())


def _check_outputs(folder: Path, resume: bool, bundle: Path | None, plot: Path | None, json_file: Path | None) -> None:
    """Before anything is scored: afterwards it would be lost."""
    from edge_autoglm.evolve.store import SCORES

    begun = (folder / SCORES).exists()
    if begun and not resume:
        raise EvolveError(f"{folder} has a search in it", "Go on with it (--resume), or name another folder (--out).")
    if resume and not begun:
        raise EvolveError(f"{folder} has no search to go on with", "Name its folder (--out), or leave out --resume.")
    if bundle is not None and bundle.exists():
        raise EvolveError(f"{bundle} exists already", "Name another path for the bundle, or move that one away.")
    for path in (plot, json_file):
        if path is not None and not path.parent.is_dir():
            raise EdgeAutoGLMError(f"{path}: cannot be written: {path.parent} is no folder", "Make that folder first.")
    if plot is not None and plot.suffix.lower() != ".png":
        raise click.UsageError(f"--plot draws a PNG: name {plot} something.png")


def _resuming() -> str:
    """The command that was typed, with --resume."""
    typed = ["edge-autoglm", *sys.argv[1:]]
    return shlex.join(typed if "--resume" in typed else [*typed, "--resume"])


def _shares(text: str) -> Shares:
    from edge_autoglm.evolve import Shares

    try:
        train, validation, test = map(float, text.split(","))
    except ValueError:
        raise click.UsageError(f"--split takes three numbers, as 0.2,0.5,0.3, not {text}") from None
    return Shares(train, validation, test)


def _write(evolved: Evolved, folder: Path, new_bundle: Path | None, plot: Path | None) -> None:
    from edge_autoglm.evolve.files import write_report
    from edge_autoglm.evolve.plot import plot_report

    evolved.write(folder)
    write_report(evolved.report, folder)
    if plot is not None:
        plot_report(evolved.report, plot)
    if new_bundle is not None:
        with progress_bars() as progress:
            evolved.make_bundle(new_bundle, progress)


def _table(report: EvolveReport) -> Table:
    judged = "test" if report.examples["test"] else "validation"
    table = Table("variant", f"{report.metric} ({judged})", "over plain", f"over {report.hand_written}", "tokens")
    for variant in report.variants:
        table.add_row(*map(escape, _cells(variant)))
    return table


def _cells(variant: VariantReport) -> tuple[str, ...]:
    figures = variant.validation if variant.test is None else variant.test
    shown = ["" if found is None else str(found) for found in (figures.over_plain, figures.over_hand_written)]
    tokens = f"{variant.prompt_tokens:.0f} ({variant.static_tokens} resident)"
    return variant.name, str(figures.value), *shown, tokens


def _closing(evolved: Evolved, folder: Path, new_bundle: Path | None) -> str:
    report = evolved.report
    tried = f"{report.candidates} prompts tried with {report.calls['total']} scored prompts."
    if not report.found:
        return f"{tried} None was better than {report.hand_written}; {folder} says what was tried."
    best = "\n".join(f"  {step}" for step in report.found[0].made_by)
    where = f"The new prompt set is {folder / evolved.task.file}" + (
        f", and {new_bundle} has it." if new_bundle else "."
    )
    return f"{tried}\n{report.found[0].name}:\n{best}\n{where}"
