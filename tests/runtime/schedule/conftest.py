"""Schedulers over the scripted engine, closed behind each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule.scheduler import Scheduler
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE
from tests.waiting import GatedEngine


class SchedulerFactory:
    """Makes schedulers."""

    def __init__(self) -> None:
        self._made: list[tuple[Scheduler, ScriptedEngine]] = []

    def __call__(self, engine: ScriptedEngine, prefill_chunk: int = 256, max_waiting: int = 100) -> Scheduler:
        """One over an engine."""
        scheduler = Scheduler(engine, prefill_chunk, max_waiting)
        self._made.append((scheduler, engine))
        return scheduler

    def gated(self, slots: int = 2, max_waiting: int = 100) -> tuple[Scheduler, GatedEngine]:
        """One over an engine whose passes the test lets through."""
        engine = GatedEngine(VOCAB_SIZE, slots)
        return self(engine, max_waiting=max_waiting), engine

    def close(self) -> None:
        """Close all of them."""
        for scheduler, engine in self._made:
            if isinstance(engine, GatedEngine):
                engine.open_gate()
            scheduler.close()


@pytest.fixture
def schedulers() -> Iterator[SchedulerFactory]:
    """Closes what it made."""
    factory = SchedulerFactory()
    yield factory
    factory.close()
