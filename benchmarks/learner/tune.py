"""Choosing the peers' settings on the tuning streams."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.learner.contestants.base import Entry, open_contestant
from benchmarks.learner.grid import river_grid, vw_grid
from benchmarks.learner.processes import in_processes
from benchmarks.learner.progress import bar
from benchmarks.learner.progressive import play
from benchmarks.learner.settings import our_entries, write_entries
from benchmarks.learner.streams import tuning
from benchmarks.learner.versions import versions

_SEED = 1000
"""Reports use small seeds."""
_VW_OPTIMISERS = ("ftrl", "coin")


@dataclass(frozen=True, slots=True)
class Trial:
    """One contestant on all tuning streams.

    Attributes:
        entry: With its settings.
        snippets: Folder of the sentiment snippets.
        limit: Most steps of a stream.
    """

    entry: Entry
    snippets: Path
    limit: int


def errors(trial: Trial) -> dict[str, float]:
    """Progressive error on each tuning stream."""
    found = {}
    for spec in tuning(trial.snippets):
        stream = spec.make(_SEED, trial.limit)
        losses = play(open_contestant(trial.entry, stream.arms, _SEED), stream)
        found[spec.name] = round(float(losses.mean()), 4)
    return found


def tune(snippets: Path, limit: int, workers: int, file: Path, console: Console) -> list[tuple[Entry, float]]:
    """Try everything, freeze the best, and return what was frozen and ours, with the mean error of each."""
    trials = [Trial(entry, snippets, limit) for entry in (*vw_grid(), *river_grid(), *our_entries())]
    scored: list[tuple[Entry, dict[str, float]]] = []
    with bar(len(trials), console) as advance:
        for trial, found in in_processes(errors, trials, workers):
            scored.append((trial.entry, found))
            advance(trial.entry.name, 1)
    ranked = sorted(((entry, statistics.mean(found.values())) for entry, found in scored), key=lambda pair: pair[1])
    chosen = best([entry for entry, _ in ranked if entry.family != "ours"])
    by_entry = {repr(entry): found for entry, found in scored}
    about = {
        "limit": limit,
        "seed": _SEED,
        "versions": versions(),
        "tried": sum(trial.entry.family != "ours" for trial in trials),
        "errors": {entry.name: by_entry[repr(entry)] for entry in chosen},
    }
    write_entries(chosen, about, file)
    return [(entry, mean) for entry, mean in ranked if entry in chosen or entry.family == "ours"]


def best(ranked: Sequence[Entry]) -> list[Entry]:
    """From all trials, best first: the best of each kind, and VW's best with each of its other optimisers."""
    chosen: dict[str, Entry] = {}
    for entry in ranked:
        if not any(other.family == entry.family and other.kind == entry.kind for other in chosen.values()):
            chosen[entry.name] = entry
    for optimiser in _VW_OPTIMISERS:
        with_it = next((entry for entry in ranked if optimiser in entry.options), None)
        if with_it is not None:
            chosen.setdefault(with_it.name, with_it)
    return sorted(chosen.values(), key=lambda entry: entry.name)
