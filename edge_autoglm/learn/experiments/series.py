"""Running figures of one experiment, for as long as its variants and weights stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from edge_autoglm.learn.experiments.course import CourseLog
from edge_autoglm.learn.experiments.mean import MeanBounds
from edge_autoglm.learn.experiments.ratio import RatioTest
from edge_autoglm.learn.experiments.results import (
    ALPHA,
    RATIO_ALPHA,
    DifferenceResult,
    ExperimentResult,
    RatioCheck,
    VariantResult,
    verdict_of,
)
from edge_autoglm.learn.experiments.units import OpenUnit, Units
from edge_autoglm.learn.gate.difference import Difference
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.models.base import ModelState, arrays_of, joined_arrays
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord


class SeriesKey(NamedTuple):
    """What decisions must have in common to be compared: all but the roll-out share."""

    name: str
    version: int
    task: str
    variants: tuple[str, ...]
    """The control first."""
    shares: tuple[float, ...]


@dataclass(slots=True)
class _Figures:
    units: int = 0
    decisions: int = 0
    feedbacks: int = 0
    rewards: float = 0.0
    weight: float = 0.0


class Series:
    """Takes in decisions and rewards of an experiment, in the journal's order. Not thread-safe.

    Args:
        key: Of the experiment.
    """

    def __init__(self, key: SeriesKey) -> None:
        self.key = key
        # They were rounded for the journal.
        shares = [share / math.fsum(key.shares) for share in key.shares]
        self._figures = [_Figures() for _ in shares]
        self._units = Units()
        self._drawn, self._heard = RatioTest(shares), RatioTest(shares)
        self._means = [MeanBounds() for _ in shares]
        # Of the units of two variants, the draw gives one of them this share, whatever the other variants get.
        self._parts = [share / (shares[0] + share) for share in shares[1:]]
        self.gains = [Difference(min(part, 1.0 - part)) for part in self._parts]
        """Of each other variant to the control."""
        self._bounds: Sequence[MeanBounds | Difference] = (*self._means, *self.gains)
        means = [partial(mean.interval, ALPHA / 2) for mean in self._means]
        gains = [partial(gain.interval, ALPHA / 2 / len(self.gains)) for gain in self.gains]
        self._mean_courses, self._gain_courses = list(map(CourseLog, means)), list(map(CourseLog, gains))

    def decided(self, record: DecisionRecord, session: int | None) -> None:
        """Count a decision."""
        place = self.key.variants.index(record.arm)
        figures = self._figures[place]
        figures.decisions += 1
        if session is None or self._units.seen(session):
            figures.units += 1
            self._drawn.observe(place)

    def rewarded(self, decided: DecisionRecord, session: int | None, reward: FeedbackRecord) -> None:
        """Learn of a reward."""
        place = self.key.variants.index(decided.arm)
        figures = self._figures[place]
        figures.feedbacks += 1
        figures.rewards += reward.weight * reward.reward
        figures.weight += reward.weight
        if not reward.weight:
            return
        unit = _unit_of_decision(decided.id) if session is None else session
        if self._units.rewarded(unit, place, reward.reward, reward.weight):
            self._heard.observe(place)
        ripe = self._units.ripe()
        if ripe is not None:
            self._count(ripe)

    def _count(self, unit: OpenUnit) -> None:
        place, outcome = unit.place, unit.outcome
        self._means[place].observe(outcome)
        self._mean_courses[place].observe(self._means[place].count)
        compared = range(len(self.gains)) if place == 0 else (place - 1,)
        for at in compared:
            gain = self.gains[at]
            gain.observe(Exposure.served(place != 0, self._parts[at]), outcome)
            self._gain_courses[at].observe(gain.count)

    def result(self) -> ExperimentResult:
        """As it stands."""
        key = self.key
        differences = tuple(map(self._difference, range(len(self.gains))))
        checks = (self._check("units", self._drawn), self._check("units with feedback", self._heard))
        variants = tuple(map(self._variant, range(len(key.variants))))
        verdict = verdict_of(differences, checks)
        return ExperimentResult(key.name, key.version, key.task, variants, differences, checks, verdict)

    def _variant(self, place: int) -> VariantResult:
        figures, mean = self._figures[place], self._means[place]
        return VariantResult(
            variant=self.key.variants[place],
            share=self.key.shares[place],
            units=figures.units,
            decisions=figures.decisions,
            feedbacks=figures.feedbacks,
            mean_reward=figures.rewards / figures.weight if figures.weight else None,
            counted=mean.count,
            interval=mean.interval(ALPHA / 2),
            course=self._mean_courses[place].until(mean.count),
        )

    def _difference(self, at: int) -> DifferenceResult:
        gain, variants = self.gains[at], self.key.variants
        interval = gain.interval(ALPHA / 2 / len(self.gains))
        course = self._gain_courses[at].until(gain.count)
        return DifferenceResult(variants[at + 1], variants[0], gain.count, interval, course)

    def _check(self, what: str, test: RatioTest) -> RatioCheck:
        counts = dict(zip(self.key.variants, test.counts, strict=True))
        return RatioCheck(what, counts, test.e_value, test.e_value >= 1.0 / RATIO_ALPHA)

    def state(self) -> ModelState:
        """All that was taken in."""
        bounds = [each.state() for each in self._bounds]
        facts = {
            "key": list(self.key),
            "figures": [list(astuple(figures)) for figures in self._figures],
            "units": self._units.state(),
            "ratios": [self._drawn.state(), self._heard.state()],
            "courses": [course.state() for course in (*self._mean_courses, *self._gain_courses)],
            "bounds": [dict(state.facts) for state in bounds],
        }
        return ModelState(facts, joined_arrays(enumerate(bounds)))

    @classmethod
    def restored(cls, state: ModelState) -> Series:
        """The series that ``state`` was taken of, bit for bit."""
        facts: dict[str, Any] = dict(state.facts)
        name, version, task, variants, shares = facts["key"]
        series = cls(SeriesKey(name, version, task, tuple(variants), tuple(shares)))
        series._figures = [_Figures(*figures) for figures in facts["figures"]]
        series._units.restore(facts["units"])
        for test, counted in zip((series._drawn, series._heard), facts["ratios"], strict=True):
            test.restore(counted)
        for course, points in zip((*series._mean_courses, *series._gain_courses), facts["courses"], strict=True):
            course.restore(points)
        for number, (each, known) in enumerate(zip(series._bounds, facts["bounds"], strict=True)):
            each.restore(ModelState(known, arrays_of(number, state.arrays)))
        return series


def _unit_of_decision(decision_id: str) -> int:
    """A request without a session is a unit by itself."""
    return int.from_bytes(blake2b(decision_id.encode("utf-8", "surrogatepass"), digest_size=6).digest(), "little")
