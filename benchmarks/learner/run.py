"""All streams, all seeds, all contestants: from the settings to the record."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import record
from benchmarks.learner.contestants.base import Entry
from benchmarks.learner.processes import in_processes
from benchmarks.learner.progress import bar
from benchmarks.learner.stream import StreamSpec
from benchmarks.learner.streams import reported, without_sentiment
from benchmarks.learner.units import Unit, measure
from benchmarks.learner.versions import versions

NAME = "learner_streams"
WORK = Path(__file__).parents[2] / "build" / "learner"


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the command line asks for.

    Attributes:
        entries: Who plays.
        only: Names of streams; none for all.
        seeds: How many.
        limit: Most steps of a stream.
        workers: Processes.
        snippets: Folder of the sentiment snippets.
        resume: Whether to keep what an interrupted run of the same settings finished.
        records: Folder for the record.
        work: Folder for what is finished.
    """

    entries: tuple[Entry, ...]
    only: tuple[str, ...]
    seeds: int
    limit: int
    workers: int
    snippets: Path
    resume: bool
    records: Path
    work: Path = WORK

    def streams(self) -> tuple[StreamSpec, ...]:
        """Those that were asked for and can be made."""
        return tuple(spec for spec in reported(self.snippets) if not self.only or spec.name in self.only)


def run(campaign: Campaign, console: Console) -> Path:
    """Measure everything and write the record; its path."""
    if not campaign.resume:
        shutil.rmtree(campaign.work, ignore_errors=True)
    campaign.work.mkdir(parents=True, exist_ok=True)
    specs = campaign.streams()
    # Seed by seed, so that an interrupted run has something of every stream.
    units = [_unit(campaign, spec.name, seed) for seed in range(campaign.seeds) for spec in specs]
    found: dict[tuple[str, int], dict[str, Any]] = {}
    with bar(len(units), console) as advance:
        for unit, outcome in in_processes(measure, units, campaign.workers):
            found[unit.stream, unit.seed] = outcome
            advance(f"{unit.stream}, seed {unit.seed}", 1)
    return _write(campaign, specs, found)


def _unit(campaign: Campaign, stream: str, seed: int) -> Unit:
    return Unit(stream, seed, campaign.limit, campaign.entries, campaign.snippets, campaign.work)


def _write(campaign: Campaign, specs: Sequence[StreamSpec], found: Mapping[tuple[str, int], dict[str, Any]]) -> Path:
    samples: dict[str, list[float]] = {}
    curves: dict[str, dict[str, list[float]]] = {}
    for spec in specs:
        passes = [found[spec.name, seed] for seed in range(campaign.seeds)]
        curves[spec.name] = {}
        for name in passes[0]["outcomes"]:
            outcomes = [each["outcomes"][name] for each in passes]
            for metric in ("error", "last_eighth"):
                samples[f"{spec.name}/{name}/{metric}"] = [round(each[metric], 5) for each in outcomes]
            curves[spec.name][name] = np.mean([each["curve"] for each in outcomes], axis=0).round(4).tolist()
        for name in passes[0]["baselines"]:
            samples[f"{spec.name}/{name}/error"] = [round(each["baselines"][name], 5) for each in passes]
    config = {
        "seeds": campaign.seeds,
        "limit": campaign.limit,
        "versions": versions(),
        "entries": [dataclasses.asdict(entry) for entry in campaign.entries],
        "streams": {
            spec.name: {
                "kind": spec.kind,
                "twin": spec.twin,
                "steps": found[spec.name, 0]["steps"],
                "arms": found[spec.name, 0]["arms"],
            }
            for spec in specs
        },
        "left_out": without_sentiment(campaign.snippets),
    }
    return record.write(NAME, config, samples, {"curves": curves}, campaign.records)
