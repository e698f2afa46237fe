"""What the learner promises, held against the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.learner.results import Results
from benchmarks.learner.settings import LINUCB, MAIN
from benchmarks.learner.units import FIXED

VW_TEXT, LINUCB_SLACK, FIXED_SLACK, DRIFT_FACTOR = 0.01, 0.015, 0.01, 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One promise on one stream.

    Attributes:
        stream: Name.
        what: In words, with the peer that it is about.
        found: Our figure.
        bound: The most that it may be.
    """

    stream: str
    what: str
    found: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether it is kept."""
        return self.found <= self.bound


def checks(results: Results) -> Iterator[Check]:
    """All promises on all streams; VW has the benefit of hindsight: its best configuration on each stream."""
    for stream, about in results.streams.items():
        error = results.mean(stream, MAIN)
        best_vw, vw = results.best(stream, "vw")
        yield Check(stream, f"best of VW ({best_vw})", error, vw + (VW_TEXT if about["kind"] == "text" else 0.0))
        yield Check(stream, f"River LinUCB + {LINUCB_SLACK}", error, results.mean(stream, LINUCB) + LINUCB_SLACK)
        yield Check(stream, f"{FIXED} + {FIXED_SLACK}", error, results.mean(stream, FIXED) + FIXED_SLACK)
        if about["twin"] in results.streams:
            last, twin = (results.mean(name, MAIN, "last_eighth") for name in (stream, about["twin"]))
            yield Check(stream, f"last eighth, twice that of {about['twin']}", last, DRIFT_FACTOR * twin)
