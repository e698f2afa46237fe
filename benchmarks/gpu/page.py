"""The page of all GPU records: made from the records alone, so that it can be made again at any time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.floors import Floors, Traffic
from benchmarks.gpu.rounds import GPU, Launches, first_divergence
from benchmarks.gpu.run import PREFIX
from benchmarks.markdown import number, percent, table
from benchmarks.peers.lineup import OWN
from benchmarks.peers.plots import draw_bars
from benchmarks.peers.results import Results

PAGE = "gpu.md"
_MILLI, _MICRO, _GIGA = 1e3, 1e6, 1e-9

_INTRODUCTION = """\
# Engines on a GPU

Made by `python -m benchmarks.gpu page` from the records in this folder; do not edit. All contestants of a section ran
in one campaign: the same checkpoint, the same prompt tokens, greedy, turn and turn about, one computing while the
others rest. Figures are medians over the rounds; every sample is in the record. `benchmarks/gpu/README.md` says how it
was measured.
"""
_NOT_MEASURED = """\
Not measured: on {date} there is no record of a run on a GPU.
"""


def write_page(records: Path) -> Path:
    """Write the page and its pictures beside the records; the page's path. Without records it says just that."""
    everything = [Results.read(path) for path in sorted(records.glob(f"{PREFIX}*.json"))]
    parts = [_INTRODUCTION, *("\n".join(_section(GpuResults(results), records)) for results in everything)]
    if not everything:
        parts.append(_NOT_MEASURED.format(date=time.strftime("%Y-%m-%d", time.gmtime())))
    page = records / PAGE
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


class GpuResults:
    """A record with its floors."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.config, self.figures = results.content["config"], results.content["figures"]
        self.bandwidth = results.median(GPU, "", "bandwidth")
        self.launch = results.median(GPU, "", "launch")

    def prefill(self, contestant: str, case: str) -> Floors:
        """Of the first token."""
        traffic, launches = self._traffic(contestant), self._launches(contestant, case)
        nbytes = None if traffic is None else traffic.of_prefill(self.config["cases"][case]["prompt_tokens"])
        return Floors(nbytes, self.bandwidth, None if launches is None else launches.prefill, self.launch)

    def step(self, contestant: str, case: str) -> Floors:
        """Of a decode step."""
        traffic, launches = self._traffic(contestant), self._launches(contestant, case)
        shape = self.config["cases"][case]["rows"], self.config["cases"][case]["prompt_tokens"]
        nbytes = None if traffic is None else traffic.of_step(*shape, self.config["new_tokens"])
        return Floors(nbytes, self.bandwidth, None if launches is None else launches.step, self.launch)

    def _traffic(self, contestant: str) -> Traffic | None:
        found: dict[str, Any] = self.figures["traffic"][contestant]
        return None if None in found.values() else Traffic(**found)

    def _launches(self, contestant: str, case: str) -> Launches | None:
        found = self.figures["launches"].get(contestant, {}).get(case)
        return None if found is None else Launches(**found)


def _section(found: GpuResults, records: Path) -> Iterator[str]:
    results, config, host = found.results, found.config, found.results.content["host"]
    gpu = config["gpu"]["gpus"][0]
    yield f"## {config['model']} on {gpu['name']}"
    yield ""
    yield (
        f"Compute capability {gpu['compute_capability']}, driver {config['gpu']['driver']}, CUDA "
        f"{config['gpu']['cuda']}; {config['rounds']} rounds, {config['new_tokens']} new tokens a row, "
        f"{host['taken_at'][:10]}. Record: `{results.name}.json`."
    )
    yield ""
    yield (
        f"A copy within the memory reads and writes {number(found.bandwidth, 0, _GIGA)} GB/s; an empty kernel as a "
        f"node of a graph takes {number(found.launch, 2, _MICRO)} us."
    )
    for case, about in config["cases"].items():
        yield ""
        yield from _case(found, case, about["rows"])
    picture = records / f"{results.name}.png"
    draw_bars(
        results, picture, [(case, "decode", f"{case} tokens of prompt: new ones a second") for case in config["cases"]]
    )
    yield ""
    yield f"![New tokens a second]({picture.name})"
    yield ""
    yield from _notes(found)


def _case(found: GpuResults, case: str, rows: int) -> Iterator[str]:
    floors = ("floor by bytes, ms", "launches", "floor by launches, ms", "higher floor / measured")
    if rows == 1:
        yield f"First token behind {case} tokens:"
        yield ""
        yield from table(
            ("contestant", "ms", *floors), [_prefill_row(found, name, case) for name in found.results.contestants]
        )
        yield ""
    yield f"Decoding behind {case} tokens:" if rows == 1 else f"Decoding, {case} tokens each:"
    yield ""
    heads = ("contestant", "tok/s", "ms a step", *floors)
    yield from table(heads, [_step_row(found, name, case, rows) for name in found.results.contestants])


def _prefill_row(found: GpuResults, name: str, case: str) -> list[str]:
    seconds = found.results.median(name, case, "ttft")
    return [name, number(seconds, 2, _MILLI), *_floor_cells(found.prefill(name, case), seconds)]


def _step_row(found: GpuResults, name: str, case: str, rows: int) -> list[str]:
    rate = found.results.median(name, case, "decode")
    seconds = rows / rate if rate else None
    return [name, number(rate, 0), number(seconds, 3, _MILLI), *_floor_cells(found.step(name, case), seconds)]


def _floor_cells(floors: Floors, seconds: float | None) -> list[str]:
    share = None if seconds is None else floors.share(seconds)
    return [
        number(floors.by_bytes, 3, _MILLI),
        number(floors.launches),
        number(floors.by_launches, 3, _MILLI),
        percent(share),
    ]


def _notes(found: GpuResults) -> Iterator[str]:
    for name, about in found.config["contestants"].items():
        yield f"- {name}: {', '.join(f'{key} {value}' for key, value in about.items())}"
    for name, reason in found.figures["absent"].items():
        yield f"- {name} is absent: {' '.join(reason.split())}"
    for name, reason in found.figures["uncounted"].items():
        yield f"- launches of {name} are not known: {' '.join(reason.split())}"
    yield from _divergences(found)
    yield ""


def _divergences(found: GpuResults) -> Iterator[str]:
    """Every contestant against the first that is not ours: it runs the checkpoint as it is."""
    answers: dict[str, dict[str, list[str]]] = found.figures["tokens"]
    others = [name for name in answers if not name.startswith(OWN)]
    reference = next(iter([*others, *answers]), None)
    for name in answers:
        if name != reference is not None:
            told = [
                f"{case} {_divergence(answers[name][case], answers[reference][case])}"
                for case in found.config["cases"]
                if case in answers[name] and case in answers[reference]
            ]
            yield f"- tokens of {name}, beside those of {reference}: {'; '.join(told)}"


def _divergence(rows: Sequence[str], others: Sequence[str]) -> str:
    pairs = zip(rows, others, strict=True)
    first = [place for row, other in pairs if (place := first_divergence(row.split(), other.split())) is not None]
    return f"differ from token {min(first) + 1} on" if first else "the same"
