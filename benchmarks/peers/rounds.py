"""The measurement: every case by every contestant, turn and turn about, one computing while the others rest."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.peers.client import PeerFailure
from benchmarks.peers.lineup import Contestant
from benchmarks.peers.protocol import Answer, Prompt

_COUNT_TOLERANCE = 2
"""Tokens by which a contestant's count of a prompt may differ."""
MEMORY = "DRAM"


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure.

    Attributes:
        name: Within its experiment.
        prompts: Makes those of a round; all contestants get the same.
        new_tokens: For each of them.
        rows: How many there are at most at the same time.
    """

    name: str
    prompts: Callable[[], list[Prompt]]
    new_tokens: int
    rows: int = 1

    def suits(self, contestant: Contestant) -> bool:
        """Whether the contestant can run it."""
        return self.rows == 1 or contestant.entry.batches


@dataclass(slots=True)
class Findings:
    """What was measured.

    Attributes:
        samples: ``CONTESTANT/CASE/METRIC`` -> values, round after round; see `metrics`.
        absent: Contestant -> why it did not take part, or not to the end.
        texts: Contestant -> what it answered to the very first prompt; shows that all run the same model.
        short: Contestant -> answers that ended before all tokens were there.
        cached: Contestant -> share of prompt tokens that it did not run, by case.
        settling: Seconds that contestants took to rest, the longest.
    """

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    absent: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    short: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cached: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    settling: dict[str, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often everything is measured.

    Attributes:
        rounds: That count.
        warm_up: That come before and do not.
        memory: Measures the memory once a round, in bytes a second; ``None`` leaves it out.
        progress: Told what comes next.
    """

    rounds: int
    warm_up: int
    memory: Callable[[], float] | None
    progress: Callable[[str], None]


def run(
    contestants: Sequence[Contestant],
    cases: Sequence[Case],
    schedule: Schedule,
    decode: Callable[[Sequence[int]], str],
) -> Findings:
    """Measure; a contestant that fails drops out, with its reason and the samples that it has."""
    findings = Findings()
    for number in range(schedule.warm_up + schedule.rounds):
        counts = number >= schedule.warm_up
        if schedule.memory is not None and counts:
            findings.samples[f"{MEMORY}//bytes"].append(schedule.memory())
        for case in cases:
            prompts = case.prompts()
            for contestant in turns(contestants, number):
                schedule.progress(f"{case.name}: {contestant.name}")
                if contestant.name in findings.absent or not case.suits(contestant):
                    continue
                try:
                    answers = contestant.process.generate(prompts, case.new_tokens)
                    _check(answers, prompts)
                    settled = contestant.process.settle()
                except PeerFailure as failure:
                    findings.absent[contestant.name] = f"round {number + 1}, {case.name}: {failure}"
                    continue
                findings.texts.setdefault(contestant.name, answers[0].text or decode(answers[0].tokens))
                findings.settling[contestant.name] = max(findings.settling[contestant.name], settled)
                if counts:
                    _note(findings, contestant.name, case, prompts, answers)
    return findings


def metrics(answers: Sequence[Answer], prompts: Sequence[Prompt]) -> dict[str, list[float]]:
    """Of one call.

    ``throughput``: new tokens a second from the first request to the last token. ``ttft``: seconds to the first token
    of each request, ``ttft PRIORITY`` of those that have one. Of a single request also ``prefill`` and ``decode``, in
    tokens a second, and ``itl``, the median seconds between two tokens where each was seen.
    """
    span = max(answer.last for answer in answers) - min(answer.asked for answer in answers)
    found: dict[str, list[float]] = defaultdict(list)
    found["throughput"].append(sum(answer.new_tokens for answer in answers) / span)
    for answer, prompt in zip(answers, prompts, strict=True):
        found[f"ttft {prompt.priority}" if prompt.priority else "ttft"].append(answer.first - answer.asked)
    if len(answers) == 1:
        found |= {metric: [value] for metric, value in _single(answers[0]).items()}
    return found


def _single(answer: Answer) -> dict[str, float]:
    found = {"prefill": (answer.prompt_tokens - answer.cached_tokens) / (answer.first - answer.asked)}
    if answer.new_tokens > 1:
        found["decode"] = (answer.new_tokens - 1) / (answer.last - answer.first)
        if len(answer.arrivals) == answer.new_tokens:
            pairs = zip(answer.arrivals[1:], answer.arrivals, strict=False)
            found["itl"] = statistics.median(later - earlier for later, earlier in pairs)
    return found


def turns(contestants: Sequence[Contestant], number: int) -> Iterator[Contestant]:
    """Whoever began a round ends the next."""
    first = number % max(1, len(contestants))
    yield from contestants[first:]
    yield from contestants[:first]


def _check(answers: Sequence[Answer], prompts: Sequence[Prompt]) -> None:
    for answer, prompt in zip(answers, prompts, strict=True):
        if abs(answer.prompt_tokens - len(prompt.tokens)) > _COUNT_TOLERANCE:
            raise PeerFailure(f"it counts {answer.prompt_tokens} tokens in a prompt of {len(prompt.tokens)}")


def _note(findings: Findings, name: str, case: Case, prompts: Sequence[Prompt], answers: Sequence[Answer]) -> None:
    for metric, values in metrics(answers, prompts).items():
        findings.samples[f"{name}/{case.name}/{metric}"].extend(values)
    findings.short[name] += sum(answer.new_tokens < case.new_tokens for answer in answers)
    share = sum(answer.cached_tokens for answer in answers) / sum(answer.prompt_tokens for answer in answers)
    findings.cached[name][case.name] = max(findings.cached[name].get(case.name, 0.0), share)
