"""What one decision and its feedback cost: ours, VW's Python call and River's LinUCB, turn and turn about."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import record
from benchmarks.learner.checks import Check
from benchmarks.learner.contestants.base import Entry, open_contestant
from benchmarks.learner.contestants.river_bandits import RiverBandit, by_name
from benchmarks.learner.contestants.vw import VowpalWabbit, shared_line
from benchmarks.learner.progress import bar
from benchmarks.learner.settings import LINUCB, MAIN
from benchmarks.learner.versions import versions
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.hashing import hash_name

NAME = "learner_speed"
BOUND = 120.0
_ARMS, _DENSE, _SPARSE, _WORDS = 8, 32, 30, 2000
_WARM_UP = 400
_MICROSECONDS = 1e6


def requests(count: int, seed: int) -> list[Features]:
    """Random ones, of 32 dense and 30 sparse features; frequent words are frequent (Zipf)."""
    rng = np.random.default_rng(seed)
    names = tuple(f"feature{number}" for number in range(_DENSE))
    words = np.array([hash_name(f"word{number}") for number in range(_WORDS)])
    frequencies = 1.0 / np.arange(1, _WORDS + 1)
    value = np.full(_SPARSE, 1.0 / np.sqrt(_SPARSE))
    return [
        Features(
            rng.choice(words, _SPARSE, replace=False, p=frequencies / frequencies.sum()),
            value,
            "speed",
            names,
            rng.normal(size=_DENSE),
        )
        for _ in range(count)
    ]


def stepper(entry: Entry) -> Callable[[Features, float], float]:
    """Plays one request and returns the seconds of choice and learning, the request's own form made beforehand.

    A user of VW has its text at hand at best, one of River its dict: what turns our features into those is not counted,
    but the parsing of the text, which is VW's own, is.
    """
    contestant = open_contestant(entry, [f"variant{place}" for place in range(_ARMS)], seed=1)
    choose: Callable[[Any], int] = contestant.choose
    form: Callable[[Features], Any] = lambda features: features  # noqa: E731
    if isinstance(contestant, VowpalWabbit):
        choose, form = contestant.choose_text, lambda features: shared_line(features, None)
    elif isinstance(contestant, RiverBandit):
        choose, form = contestant.choose_named, lambda features: by_name(features, None)

    def step(features: Features, luck: float) -> float:
        request = form(features)
        started = time.perf_counter()
        chosen = choose(request)
        contestant.learn(float(luck < (chosen + 1) / _ARMS))
        return time.perf_counter() - started

    return step


def measure(entries: Sequence[Entry], rounds: int, console: Console) -> dict[str, list[float]]:
    """Microseconds of every round by contestant; whoever began a round ends the next."""
    steppers = {entry.name: stepper(entry) for entry in entries}
    samples: dict[str, list[float]] = {entry.name: [] for entry in entries}
    order = list(steppers)
    luck = np.random.default_rng(2).random(rounds + _WARM_UP).tolist()
    with bar(rounds + _WARM_UP, console) as advance:
        for number, features in enumerate(requests(rounds + _WARM_UP, seed=1)):
            for name in order:
                seconds = steppers[name](features, luck[number])
                if number >= _WARM_UP:
                    samples[name].append(round(seconds * _MICROSECONDS, 1))
            order.append(order.pop(0))
            advance("rounds", 1)
    return samples


def run(entries: Sequence[Entry], rounds: int, records: Path, console: Console) -> Path:
    """Measure ours, VW and River's LinUCB and write the record; its path."""
    timed = [entry for entry in entries if entry.family != "river" or entry.name == LINUCB]
    samples = measure(timed, rounds, console)
    config = {
        "arms": _ARMS, "dense": _DENSE, "sparse": _SPARSE, "rounds": rounds, "warm_up": _WARM_UP,
        "unit": "microseconds of one choice and its feedback", "versions": versions(),
    }  # fmt: skip
    return record.write(NAME, config, samples, {}, records)


def checks(samples: dict[str, list[float]]) -> Iterator[Check]:
    """The bound, VW's fastest configuration, and River's LinUCB."""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    fastest = min((name for name in medians if name.startswith("vw")), key=lambda name: medians[name])
    yield Check("speed", f"{BOUND:.0f} us", medians[MAIN], BOUND)
    yield Check("speed", f"VW's fastest ({fastest})", medians[MAIN], medians[fastest])
    yield Check("speed", "River LinUCB", medians[MAIN], medians[LINUCB])
