"""A record as the page reads it: medians by contestant, case and metric, and ratios between contestants."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.rounds import MEMORY


@dataclass(frozen=True, slots=True)
class Results:
    """One record.

    Attributes:
        name: Of its file, without the ending.
        content: Of it.
    """

    name: str
    content: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Results:
        """From a record's file."""
        return cls(path.stem, json.loads(path.read_text(encoding="utf-8")))

    @property
    def contestants(self) -> list[str]:
        """Those with samples, in the order of the line-up."""
        measured = {key.split("/")[0] for key in self.content["samples"]}
        return [name for name in self.content["config"]["bits"] if name in measured]

    @property
    def cases(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(key.split("/")[1] for key in self.content["samples"] if key.split("/")[1]))

    def values(self, contestant: str, case: str, metric: str) -> list[float]:
        """All samples; none where it was not measured."""
        found: list[float] = self.content["samples"].get(f"{contestant}/{case}/{metric}", [])
        return found

    def median(self, contestant: str, case: str, metric: str) -> float | None:
        """Of the samples."""
        values = self.values(contestant, case, metric)
        return statistics.median(values) if values else None

    def percentile(self, contestant: str, case: str, metric: str, share: int) -> float | None:
        """The least sample that ``share`` per cent of all do not exceed (nearest rank)."""
        values = sorted(self.values(contestant, case, metric))
        return values[max(0, -(-len(values) * share // 100) - 1)] if values else None

    @property
    def memory(self) -> float | None:
        """Bytes a second that can be read."""
        return self.median(MEMORY, "", "bytes")

    def memory_share(self, contestant: str, case: str) -> float | None:
        """Bytes of weights that decoding reads a second, as a share of what can be read; KV is not counted."""
        decode, nbytes = self.median(contestant, case, "decode"), self.content["figures"]["weight_bytes"][contestant]
        if decode is None or nbytes is None or self.memory is None:
            return None
        return decode * float(nbytes) / self.memory

    def bits(self, contestant: str) -> int:
        """Of its weights."""
        return int(self.content["config"]["bits"][contestant])

    def leads(self, own: Sequence[str], case: str, metric: str) -> Iterator[tuple[str, str, float]]:
        """Contestant of ours, peer of the same bits, and our median over theirs."""
        for name in own:
            for peer in self.contestants:
                ours, theirs = self.median(name, case, metric), self.median(peer, case, metric)
                if peer not in own and self.bits(peer) == self.bits(name) and ours is not None and theirs:
                    yield name, peer, ours / theirs
