"""The unit of the campaign: one stream under one seed, played by everybody."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.learner.contestants.base import Entry, open_contestant
from benchmarks.learner.progressive import play, summarise
from benchmarks.learner.stream import StreamSpec
from benchmarks.learner.streams import reported

FIXED, UNIFORM = "best fixed arm", "uniform"
"""No contestants: what they would have lost follows from the rewards."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What one process does at a time.

    Attributes:
        stream: Name.
        seed: Of order, noise and exploration.
        limit: Most steps.
        entries: Who plays.
        snippets: Folder of the sentiment snippets.
        folder: Where finished units are kept.
    """

    stream: str
    seed: int
    limit: int
    entries: tuple[Entry, ...]
    snippets: Path
    folder: Path

    @property
    def file(self) -> Path:
        """Where its outcome is kept."""
        return self.folder / f"{self.stream.replace(' ', '-')}_{self.seed}.json"

    def spec(self) -> StreamSpec:
        """The stream's."""
        return next(spec for spec in reported(self.snippets) if spec.name == self.stream)


def measure(unit: Unit) -> dict[str, Any]:
    """Play the stream with every contestant; what is kept already is read instead.

    Returns:
        ``steps``, and for each contestant ``error``, ``last_eighth`` and ``curve``, as `summarise` says.
    """
    if unit.file.exists():
        found: dict[str, Any] = json.loads(unit.file.read_text(encoding="utf-8"))
        return found
    stream = unit.spec().make(unit.seed, unit.limit)
    outcomes = {
        entry.name: dataclasses.asdict(summarise(play(open_contestant(entry, stream.arms, unit.seed), stream)))
        for entry in unit.entries
    }
    errors = {FIXED: stream.best_fixed_error(), UNIFORM: stream.uniform_error()}
    content = {"steps": len(stream), "arms": len(stream.arms), "outcomes": outcomes, "baselines": errors}
    # Renamed into place: what an interrupted run leaves behind is whole.
    partial = unit.file.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(unit.file)
    return content
