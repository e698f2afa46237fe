"""Order and bound of the waiting line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import Overloaded
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule.job import Job
from edge_autoglm.runtime.schedule.running import Running
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.runtime.schedule.waiting import Waiting, WaitingLine
from edge_autoglm.values import Priority
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, job

CRITICAL, NORMAL, BACKGROUND = Priority


def taken(line: WaitingLine) -> list[Waiting]:
    return [line.pop()[1] for _ in range(len(line))]


def parked(number: int, priority: Priority = NORMAL) -> Running:
    return Running(job(priority=priority), number, Seat(ScriptedEngine(VOCAB_SIZE), 0))


@given(st.lists(st.sampled_from(Priority), max_size=30))
def test_classes_in_order_and_arrivals_within_a_class(priorities: list[Priority]) -> None:
    line = WaitingLine(100)
    jobs = [job(priority=priority) for priority in priorities]
    for one in jobs:
        line.add(one, free_slots=0)
    assert line.first() is min(jobs, key=lambda one: one.priority, default=None)
    assert taken(line) == sorted(jobs, key=lambda one: one.priority)
    assert line.first() is None


def test_numbers_tell_the_order_of_arrival() -> None:
    line = WaitingLine(9)
    for priority in (BACKGROUND, CRITICAL, NORMAL):
        line.add(job(priority=priority), free_slots=0)
    assert [line.pop()[0] for _ in range(3)] == [2, 3, 1]


def test_one_that_was_parked_keeps_its_place() -> None:
    line = WaitingLine(9)
    jobs = [job() for _ in range(3)]
    for one in jobs:
        line.add(one, free_slots=0)
    number, first = line.pop()
    assert first is jobs[0]
    back = parked(number)
    line.park(back)
    assert taken(line) == [back, *jobs[1:]]


def test_the_bound_counts_new_jobs_only() -> None:
    line = WaitingLine(2)
    for number in range(5):
        line.park(parked(number))
    line.add(job(), free_slots=0)
    line.add(job(), free_slots=0)
    with pytest.raises(Overloaded, match="2 requests wait already"):
        line.add(job(), free_slots=0)
    assert len(line) == 7


def test_jobs_that_a_slot_is_free_for_do_not_count() -> None:
    line = WaitingLine(1)
    for _ in range(4):
        line.add(job(), free_slots=3)
    with pytest.raises(Overloaded, match="1 requests wait already"):
        line.add(job(), free_slots=3)


def test_lower_classes_never_keep_a_job_from_being_taken() -> None:
    line = WaitingLine(2)
    for priority in (BACKGROUND, NORMAL, CRITICAL):
        for _ in range(2):
            line.add(job(priority=priority), free_slots=0)
        with pytest.raises(Overloaded):
            line.add(job(priority=priority), free_slots=0)
    with pytest.raises(Overloaded, match="6 requests"):
        line.add(job(priority=BACKGROUND), free_slots=0)


def test_whoever_leaves_makes_room() -> None:
    line = WaitingLine(3)
    jobs = [job() for _ in range(3)]
    for one in jobs:
        line.add(one, free_slots=0)
    line.park(parked(9))
    line.pop()
    error = ValueError("gone")
    assert line.remove(lambda waiting: error if waiting is jobs[1] else None) == [(jobs[1], error)]
    assert line.remove(lambda waiting: error if isinstance(waiting, Running) else None)[0][1] is error
    for _ in range(2):
        line.add(job(), free_slots=0)
    with pytest.raises(Overloaded):
        line.add(job(), free_slots=0)
    assert line.first() is jobs[2]


@given(st.lists(st.tuples(st.sampled_from(Priority), st.booleans()), max_size=30))
def test_those_that_stay_keep_their_order(entries: list[tuple[Priority, bool]]) -> None:
    line = WaitingLine(100)
    jobs = {job(priority=priority): goes for priority, goes in entries}
    for one in jobs:
        line.add(one, free_slots=0)
    removed = line.remove(lambda waiting: ValueError() if isinstance(waiting, Job) and jobs[waiting] else None)
    assert {waiting for waiting, _ in removed} == {one for one, goes in jobs.items() if goes}
    assert taken(line) == sorted((one for one, goes in jobs.items() if not goes), key=lambda one: one.priority)
