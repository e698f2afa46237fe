"""The measurement: first token and decoding by every contestant, turn and turn about; then what each launches.

Who fails drops out, and the others go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.gpu.costs import GpuCosts
from benchmarks.peers.client import PeerFailure
from benchmarks.peers.lineup import Contestant
from benchmarks.peers.prompts import PromptSource
from benchmarks.peers.protocol import Answer, Prompt
from benchmarks.peers.rounds import turns

GPU = "GPU"
"""Stands for a contestant in the samples of the GPU itself: ``bandwidth`` and ``launch``."""
LENGTHS = (128, 512, 2048)
_COUNTED_STEPS = 4
"""Decode steps whose launches are counted: the mean of them."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure.

    Attributes:
        prompt_tokens: Of each row.
        rows: At the same time.
    """

    prompt_tokens: int
    rows: int = 1

    @property
    def name(self) -> str:
        """As the page has it."""
        return str(self.prompt_tokens) if self.rows == 1 else f"{self.rows} rows of {self.prompt_tokens}"

    def prompts(self, source: PromptSource) -> list[Prompt]:
        """Other ones at every call."""
        return [source.take(self.prompt_tokens) for _ in range(self.rows)]


def cases(rows: int) -> list[Case]:
    """One row behind prompts of every length, and as many as there are behind the shortest."""
    return [*(Case(length) for length in LENGTHS), *([Case(LENGTHS[0], rows)] if rows > 1 else [])]


@dataclass(frozen=True, slots=True)
class Launches:
    """Kernels, copies and fills on the GPU.

    Attributes:
        prefill: Up to the first token of one row, or of all of them.
        step: Of a decode step, in the mean.
    """

    prefill: float
    step: float


@dataclass(slots=True)
class Findings:
    """What was measured.

    Attributes:
        samples: ``CONTESTANT/CASE/METRIC`` -> values, round after round; see `metrics`.
        absent: Contestant -> why it did not take part, or not to the end.
        tokens: Contestant -> case -> what it answered to the prompts of the first round, row by row.
        launches: Contestant -> case -> what it ran on the GPU.
        uncounted: Contestant -> why its launches are not known.
    """

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    absent: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, dict[str, list[list[int]]]] = field(default_factory=lambda: defaultdict(dict))
    launches: dict[str, dict[str, Launches]] = field(default_factory=lambda: defaultdict(dict))
    uncounted: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How it is measured.

    Attributes:
        cases: In order.
        source: Of the prompts.
        new_tokens: Of a row.
        rounds: That count.
        warm_up: That come before and do not.
        costs: Measures the GPU once a round; ``None`` where there is none.
        progress: Told what comes next.
    """

    cases: Sequence[Case]
    source: PromptSource
    new_tokens: int
    rounds: int
    warm_up: int
    costs: GpuCosts | None
    progress: Callable[[str], None]


def run(contestants: Sequence[Contestant], schedule: Schedule) -> Findings:
    """Measure; a contestant that drops out leaves its reason and the samples that it has."""
    findings = Findings()
    for number in range(schedule.warm_up + schedule.rounds):
        counts = number >= schedule.warm_up
        if schedule.costs is not None and counts:
            findings.samples[f"{GPU}//bandwidth"].append(schedule.costs.bandwidth())
            findings.samples[f"{GPU}//launch"].append(schedule.costs.launch())
        for case in schedule.cases:
            prompts = case.prompts(schedule.source)
            for contestant in turns(contestants, number):
                schedule.progress(f"{case.name}: {contestant.name}")
                if contestant.name in findings.absent:
                    continue
                try:
                    answers = contestant.process.generate(prompts, schedule.new_tokens)
                    _check(answers, schedule.new_tokens)
                    contestant.process.settle()
                except PeerFailure as failure:
                    findings.absent[contestant.name] = f"round {number + 1}, {case.name}: {failure}"
                    continue
                findings.tokens[contestant.name].setdefault(case.name, [answer.tokens for answer in answers])
                if counts:
                    for metric, value in metrics(answers).items():
                        findings.samples[f"{contestant.name}/{case.name}/{metric}"].append(value)
    _count(contestants, schedule, findings)
    return findings


def _check(answers: Sequence[Answer], new_tokens: int) -> None:
    for answer in answers:
        if len(answer.tokens) != new_tokens:
            raise PeerFailure(f"it generated {len(answer.tokens)} tokens, not {new_tokens}")


def metrics(answers: Sequence[Answer]) -> dict[str, float]:
    """Of rows in lockstep: ``decode``, tokens a second of all of them; of one row alone also ``ttft``, in seconds."""
    steps = answers[0].new_tokens - 1
    found = {"decode": len(answers) * steps / (answers[0].last - answers[0].first)}
    return found | ({"ttft": answers[0].first} if len(answers) == 1 else {})


def _count(contestants: Sequence[Contestant], schedule: Schedule, findings: Findings) -> None:
    """Behind everything that is timed, because tracing slows a process down."""
    for case in schedule.cases:
        prompts = case.prompts(schedule.source)
        for contestant in contestants:
            schedule.progress(f"launches of {case.name}: {contestant.name}")
            if contestant.name in findings.absent | findings.uncounted:
                continue
            try:
                prefill = contestant.process.launches(prompts, 1)
                total = contestant.process.launches(prompts, 1 + _COUNTED_STEPS)
            except PeerFailure as failure:
                findings.uncounted[contestant.name] = str(failure)
                continue
            findings.launches[contestant.name][case.name] = Launches(prefill, (total - prefill) / _COUNTED_STEPS)


def first_divergence(found: Sequence[object], reference: Sequence[object]) -> int | None:
    """Number of the first token, from 0 on, in which two answers differ; ``None`` where they are the same."""
    pairs = zip(found, reference, strict=True)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), None)
