"""Opens a runtime and takes the time of each stage that it reports."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_autoglm import Progress, Runtime, RuntimeConfig


@dataclass(frozen=True, slots=True)
class Load:
    """What opening took, in seconds.

    Attributes:
        seconds: In all: `Runtime.open`, from the call to the moment when it can answer.
        stages: Of each stage that it reports, such as ``verifying``.
    """

    seconds: float
    stages: Mapping[str, float]

    @property
    def rest(self) -> float:
        """Outside all stages: importing and starting the engine, reading weights and tokenizer."""
        return self.seconds - sum(self.stages.values())


@dataclass(slots=True)
class _StageClock:
    """A `Progress` callback that notes when each stage was first and last heard of."""

    shown: Progress
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not total:  # a stage with nothing to do
            return
        now = time.perf_counter()
        self.first.setdefault(stage, now)
        self.last[stage] = now
        self.shown(stage, done, total)

    def stages(self) -> dict[str, float]:
        return {stage: self.last[stage] - self.first[stage] for stage in self.first}


def timed_open(
    bundle: Path, threads: int, device: str, config: RuntimeConfig, progress: Progress
) -> tuple[Runtime, Load]:
    """Open a runtime; the caller closes it. Arguments and errors are those of `Runtime.open`."""
    clock = _StageClock(progress)
    started = time.perf_counter()
    runtime = Runtime.open(bundle, threads=threads, device=device, config=config, progress=clock)
    return runtime, Load(time.perf_counter() - started, clock.stages())
