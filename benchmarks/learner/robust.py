"""Late, missing, wrong and hostile feedback, through the learner that ships."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks import record
from benchmarks.learner.channels import CHANNELS, Message, user
from benchmarks.learner.checks import Check
from benchmarks.learner.processes import in_processes
from benchmarks.learner.progress import bar
from benchmarks.learner.stream import FloatArray, Stream
from benchmarks.learner.streams import reported
from benchmarks.learner.versions import versions
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.policies import make_policy

NAME = "learner_robust"
STREAMS = ("segment", "digits", "led", "sea", "rbf", "docstrings", "sentiment")
SLACK = 0.1
CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class Case:
    """One pass of one stream through one channel."""

    stream: str
    channel: str
    seed: int
    limit: int
    snippets: Path


def last_quarter(case: Case) -> float:
    """Mean loss of the last quarter of the decisions; what users really got, not what they reported."""
    spec = next(spec for spec in reported(case.snippets) if spec.name == case.stream)
    losses = play(spec.make(case.seed, case.limit), case.channel, case.seed)
    return float(losses[-max(len(losses) // 4, 1) :].mean())


def play(stream: Stream, channel: str, seed: int) -> FloatArray:
    """The losses of each step, ``[steps]``."""
    rng, transmit = random.Random(seed), CHANNELS[channel]
    on_their_way: list[Message] = []
    losses = np.empty(len(stream))
    with Learner.open(None, seed=seed, policy=make_policy("mixture", seed=seed)) as learner:
        for step, features in enumerate(stream.features):
            decision = learner.policy.pull(stream.arms, features)
            learner.record(decision, features.task, stream.arms, features, generation=1)
            reward = float(stream.rewards[step, stream.arms.index(decision.arm)])
            losses[step] = 1.0 - reward
            sent = transmit(Message(step, decision.id, reward, user(rng)), rng)
            on_their_way += [sent] if sent is not None else []
            # In the order of their dates: every message of a channel takes equally long.
            while on_their_way and on_their_way[0].due <= step:
                arrived = on_their_way.pop(0)
                learner.feedback(arrived.decision, arrived.reward, source=arrived.source)
    return losses


def run(
    seeds: int, limit: int, workers: int, snippets: Path, only: Sequence[str], records: Path, console: Console
) -> Path:
    """Measure every stream through every channel and write the record; its path."""
    names = [spec.name for spec in reported(snippets) if spec.name in (only or STREAMS)]
    cases = [
        Case(name, channel, seed, limit, snippets) for seed in range(seeds) for name in names for channel in CHANNELS
    ]
    found: dict[Case, float] = {}
    with bar(len(cases), console) as advance:
        for case, error in in_processes(last_quarter, cases, workers):
            found[case] = error
            advance(f"{case.stream}, {case.channel}", 1)
    samples = {
        f"{name}/{channel}": [round(found[Case(name, channel, seed, limit, snippets)], 5) for seed in range(seeds)]
        for name in names
        for channel in CHANNELS
    }
    config = {"seeds": seeds, "limit": limit, "streams": names, "channels": list(CHANNELS), "versions": versions()}
    figures = {"means": {key: round(float(np.mean(values)), 5) for key, values in samples.items()}}
    return record.write(NAME, config, samples, figures, records)


def checks(means: dict[str, float]) -> Iterator[Check]:
    """Every channel against the clean one."""
    for key, error in means.items():
        stream, _, channel = key.rpartition("/")
        if channel != CLEAN:
            yield Check(stream, f"{channel} feedback, {CLEAN} + {SLACK}", error, means[f"{stream}/{CLEAN}"] + SLACK)
