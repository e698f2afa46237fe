"""The record of the streams as checks and page read it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.learner.units import FIXED, UNIFORM


@dataclass(frozen=True, slots=True)
class Results:
    """One record.

    Attributes:
        content: Of its file.
    """

    content: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Results:
        """From a record's file."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    @property
    def streams(self) -> dict[str, dict[str, Any]]:
        """Name -> kind, twin, steps and arms."""
        found: dict[str, dict[str, Any]] = self.content["config"]["streams"]
        return found

    @property
    def contestants(self) -> list[str]:
        """In the order of the line-up, the two baselines last."""
        return [*(entry["name"] for entry in self.content["config"]["entries"]), FIXED, UNIFORM]

    def family(self, family: str) -> Iterator[str]:
        """Names of a family's contestants."""
        return (entry["name"] for entry in self.content["config"]["entries"] if entry["family"] == family)

    def values(self, stream: str, contestant: str, metric: str = "error") -> list[float]:
        """One a seed."""
        found: list[float] = self.content["samples"][f"{stream}/{contestant}/{metric}"]
        return found

    def mean(self, stream: str, contestant: str, metric: str = "error") -> float:
        """Over the seeds."""
        return statistics.mean(self.values(stream, contestant, metric))

    def best(self, stream: str, family: str) -> tuple[str, float]:
        """Name and mean error of the best of a family on a stream: chosen in hindsight."""
        return min(((name, self.mean(stream, name)) for name in self.family(family)), key=lambda pair: pair[1])

    def curve(self, stream: str, contestant: str) -> list[float]:
        """Error so far, mean over the seeds, at evenly spaced steps."""
        found: list[float] = self.content["figures"]["curves"][stream][contestant]
        return found
