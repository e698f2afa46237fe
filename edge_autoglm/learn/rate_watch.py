"""Whether feedback comes as often for one arm as for another, a task at a time."""

from __future__ import annotations

from collections import deque

from edge_autoglm.learn.gate.feedback_rates import FeedbackRates, RatioAlarm
from edge_autoglm.learn.models.base import ModelState, arrays_of, joined_arrays
from edge_autoglm.learn.records import DecisionRecord

_MOST_QUEUED = 256


class RateWatch:
    """`FeedbackRates` of every task. Not thread-safe.

    Its arithmetic takes longer than recording a decision may. So decisions queue until feedback comes, which waits for
    the disk anyway: the test sees the same calls in the same order.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, FeedbackRates] = {}
        self._queue: deque[DecisionRecord] = deque()

    def decided(self, record: DecisionRecord) -> None:
        """Note a decision; one that the caller made says nothing.

        Nor does one of an experiment, whose later requests of a session are no draws; it has checks of its own.
        """
        if record.propensities and record.experiment is None:
            self._queue.append(record)
            if len(self._queue) > _MOST_QUEUED:
                self._pass_on(self._queue.popleft())

    def rewarded(self, record: DecisionRecord) -> None:
        """Note that feedback came for a decision."""
        self._catch_up()
        if record.task in self._tasks:
            self._tasks[record.task].rewarded(record.id)

    def alarms(self) -> dict[str, RatioAlarm]:
        """Task -> the loudest alarm, where there is one."""
        self._catch_up()
        alarms = {task: rates.alarm() for task, rates in self._tasks.items()}
        return {task: alarm for task, alarm in alarms.items() if alarm is not None}

    def state(self) -> ModelState:
        """All that was seen."""
        self._catch_up()
        states = {task: rates.state() for task, rates in self._tasks.items()}
        tasks = [[task, state.facts] for task, state in states.items()]
        return ModelState({"tasks": tasks}, joined_arrays(enumerate(states.values())))

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave."""
        self._queue.clear()
        self._tasks = {}
        for number, (task, facts) in enumerate(state.facts["tasks"]):
            self._tasks[task] = FeedbackRates()
            self._tasks[task].restore(ModelState(facts, arrays_of(number, state.arrays)))

    def _catch_up(self) -> None:
        while self._queue:
            self._pass_on(self._queue.popleft())

    def _pass_on(self, record: DecisionRecord) -> None:
        rates = self._tasks.setdefault(record.task, FeedbackRates())
        rates.decided(record.id, record.arm, dict(zip(record.arms, record.propensities, strict=True)))
