"""What the search for prompts finds, and what it costs, on a real model.

    python -m benchmarks.evolve --snippets FOLDER [--scores FOLDER] BUNDLE search | racing | random | reuse

Snippets: movies.tsv and tweets.tsv; rows 1-1000 are for development, 1001-2000 for the report. Scores are kept in a
folder, so that a measurement that was stopped goes on, and prompts that two of them need are scored once (`reuse` takes
times, and uses none).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmarks import record
from benchmarks.evolve import against_random, matrix, reuse, searching
from benchmarks.evolve.world import World, opened
from benchmarks.learner.snippets import DOMAINS
from edge_autoglm.evolve import EvolveSettings, Shares

_FOLDER = click.Path(path_type=Path, file_okay=False)
SHARES_OF_CALLS = (0.1, 0.2, 0.3, 0.4)


@click.group()
@click.argument("bundle", type=_FOLDER)
@click.option("--snippets", type=_FOLDER, required=True, help="Folder of movies.tsv and tweets.tsv.")
@click.option("--scores", type=_FOLDER, default="evolve-scores", show_default=True, help="Kept between runs.")
@click.option("--domain", "domains", multiple=True, default=DOMAINS, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Of the engine; 1 wastes least on a busy machine.")
@click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder for the record.")
@click.pass_context
def main(
    context: click.Context,
    bundle: Path,
    snippets: Path,
    scores: Path,
    domains: tuple[str, ...],
    threads: int | None,
    records: Path,
) -> None:
    """The search for prompts on a real model."""
    world = context.with_resource(opened(bundle, snippets, scores, threads))
    context.obj = world, domains, records


@main.command("search")
@click.option("--budget", default=6000, show_default=True)
@click.option("--reported", default=1000, show_default=True, help="Rows of the report.")
@click.pass_obj
def search(given: tuple[World, tuple[str, ...], Path], budget: int, reported: int) -> None:
    """Evolve with 200 labelled snippets; compare on unseen ones."""
    world, domains, _ = given
    settings = EvolveSettings(budget=budget, shares=searching.SHARES)
    found = {domain: searching.measure(world, domain, settings, reported) for domain in domains}
    for domain, figures in found.items():
        click.echo(f"{domain}: {figures['hand_written']}\n{figures['best_hand_written']} -> {figures['found']}")
    _write(given, "search", {"budget": budget}, {}, found)


@main.command("racing")
@click.option("--prompts", default=64, show_default=True)
@click.option("--examples", default=100, show_default=True)
@click.option("--races", default=1000, show_default=True)
@click.pass_obj
def racing(given: tuple[World, tuple[str, ...], Path], prompts: int, examples: int, races: int) -> None:
    """Sequential halving against scoring everything, replayed on a matrix."""
    world, domains, _ = given
    found = {}
    for domain in domains:
        table, drafts = matrix.scored(world, domain, prompts, examples)
        replays = [matrix.replayed(table, share, races) for share in SHARES_OF_CALLS]
        for each in replays:
            click.echo(f"{domain}: { {key: value for key, value in each.items() if key != 'reached'} }")
        found[domain] = {"replays": replays, "drafts": drafts, "right": table.right.astype(int).tolist()}
    _write(given, "racing", {"prompts": prompts, "examples": examples, "races": races}, {}, found)


@main.command("random")
@click.option("--budget", default=1200, show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--unseen", default=400, show_default=True, help="Development rows to judge by.")
@click.option("--strategy", "strategies", multiple=True, default=("random", "beam", "greedy"), show_default=True)
@click.pass_obj
def random(
    given: tuple[World, tuple[str, ...], Path], budget: int, seeds: int, unseen: int, strategies: tuple[str, ...]
) -> None:
    """Beam and greedy search against random search at equal calls, each run for real."""
    world, domains, _ = given
    settings = EvolveSettings(budget=budget, shares=searching.SHARES, keep=1)
    found = {
        domain: against_random.compare(world, domain, settings, strategies, range(seeds), unseen) for domain in domains
    }
    for domain, figures in found.items():
        click.echo(f"{domain}: {figures['means']}")
    _write(given, "random", {"budget": budget, "seeds": seeds, "unseen": unseen}, {}, found)


@main.command("reuse")
@click.option("--budget", default=800, show_default=True)
@click.pass_obj
def reused(given: tuple[World, tuple[str, ...], Path], budget: int) -> None:
    """One search, every batch with and without resident prefixes; run it alone on the machine."""
    world, domains, _ = given
    settings = EvolveSettings(budget=budget, shares=Shares(0.2, 0.4, 0.4), keep=1)
    samples: dict[str, list[float]] = {}
    found: dict[str, Any] = {}
    for domain in domains:
        kinds = {
            "search": reuse.search(world, domain, settings),
            "few-shot prompts": reuse.few_shot(world, domain, prompts=budget // 40, examples=20),
        }
        for kind, scorer in kinds.items():
            samples |= {f"{domain} {kind} {'held' if way else 'fresh'}": each for way, each in scorer.seconds.items()}
            found[f"{domain}, {kind}"] = reuse.figures(scorer)
            click.echo(f"{domain}, {kind}: {found[f'{domain}, {kind}']}")
    _write(given, "reuse", {"budget": budget}, samples, found)


def _write(
    given: tuple[World, tuple[str, ...], Path],
    name: str,
    config: dict[str, Any],
    samples: dict[str, list[float]],
    figures: dict[str, Any],
) -> None:
    world, _, records = given
    engines = [entry.precision for entry in world.bundle.manifest.engines]
    path = record.write(f"evolve_{name}", {**config, "precision": engines}, samples, figures, records)
    click.echo(f"written: {path}")


if __name__ == "__main__":
    main()
