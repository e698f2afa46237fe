"""Running figures of all experiments: they outlive the journal's old segments."""

from __future__ import annotations

from collections import OrderedDict

from edge_autoglm.learn.experiments.results import ExperimentResult
from edge_autoglm.learn.experiments.series import Series, SeriesKey
from edge_autoglm.learn.models.base import ModelState, arrays_of, joined_arrays
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord
from edge_autoglm.values import Assignment

KEPT = 32
"""Experiments whose figures are kept; the one that has had no decision for longest gives way."""


class ExperimentBook:
    """Takes in the journal's records in their order. Not thread-safe."""

    def __init__(self) -> None:
        self._series: OrderedDict[SeriesKey, Series] = OrderedDict()

    def decided(self, record: DecisionRecord) -> None:
        """Count a decision, if an experiment made it."""
        if record.experiment is None:
            return
        key = _key_of(record, record.experiment)
        series = self._series.get(key) or self._begin(key)
        self._series.move_to_end(key)
        series.decided(record, record.experiment.unit)

    def rewarded(self, decided: DecisionRecord, reward: FeedbackRecord) -> None:
        """Learn of a reward, however late, if an experiment made the decision and its figures are kept."""
        if decided.experiment is None:
            return
        series = self._series.get(_key_of(decided, decided.experiment))
        if series is not None:
            series.rewarded(decided, decided.experiment.unit, reward)

    def results(self) -> tuple[ExperimentResult, ...]:
        """Of all, the one with the newest decision last."""
        return tuple(series.result() for series in self._series.values())

    def state(self) -> ModelState:
        """All that was taken in; a copy."""
        states = [series.state() for series in self._series.values()]
        return ModelState({"series": [dict(state.facts) for state in states]}, joined_arrays(enumerate(states)))

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave, bit for bit."""
        self._series = OrderedDict()
        for number, facts in enumerate(state.facts.get("series", ())):
            series = Series.restored(ModelState(facts, arrays_of(number, state.arrays)))
            self._series[series.key] = series

    def _begin(self, key: SeriesKey) -> Series:
        series = self._series[key] = Series(key)
        if len(self._series) > KEPT:
            self._series.popitem(last=False)
        return series


def _key_of(record: DecisionRecord, assignment: Assignment) -> SeriesKey:
    """The compared variants are those with a chance."""
    shares = {arm: share for arm, share in zip(record.arms, record.propensities, strict=True) if share}
    variants = (assignment.control, *(arm for arm in shares if arm != assignment.control))
    drawn = tuple(shares[variant] for variant in variants)
    return SeriesKey(assignment.experiment, assignment.version, record.task, variants, drawn)
