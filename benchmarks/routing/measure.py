"""How well a router learns which task is meant: ``python -m benchmarks.routing.measure [--record]``.

Prequential: every text is routed first and learnt from then. Settings were chosen on the streams of seeds 0 to 4;
those reported are of seeds 100 to 109. All streams share one bank of phrasings.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.record import write
from benchmarks.routing.stream import PHRASES, STRANGE, stream
from edge_autoglm.facade.routing import THRESHOLD, task_texts
from edge_autoglm.learn.routing.router import Router
from edge_autoglm.prompts import Catalogue, builtin_task_files

_SEEDS = range(100, 110)
_LENGTH = 400
_WINDOWS = ((0, 50), (50, 100), (100, 200), (200, 400))


def measure(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over all streams."""
    asked = [one for run in runs for one in run["asked"]]
    sure = [one for one in asked if one["confidence"] >= THRESHOLD]
    late = [one for run in runs for one in run["asked"][200:]]
    late_sure = [one for one in late if one["confidence"] >= THRESHOLD]
    return {
        "tasks": sorted(PHRASES),
        "streams": len(runs),
        "length": _LENGTH,
        "threshold": THRESHOLD,
        "error": {
            f"{begin}-{end}": fmean(not one["right"] for run in runs for one in run["asked"][begin:end])
            for begin, end in _WINDOWS
        },
        "answered": len(sure) / len(asked),
        "error_where_answered": fmean(not one["right"] for one in sure),
        "answered_after_200": len(late_sure) / len(late),
        "error_where_answered_after_200": fmean(not one["right"] for one in late_sure),
        "calibration_error": _calibration_error(asked),
        "strange_texts_refused": fmean(share for run in runs for share in run["refused"]),
        "microseconds_route": median(run["microseconds_route"] for run in runs),
        "milliseconds_learn_on_disk": median(run["milliseconds_learn"] for run in runs),
        "bytes_on_disk": median(run["nbytes"] for run in runs),
    }


def _run(seed: int) -> dict[str, Any]:
    tasks = {task.name: task_texts(task) for task in Catalogue.load(builtin_task_files()).tasks if task.name in PHRASES}
    names = list(tasks)
    asked, routing, learning = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "router.safetensors"
        router = Router(b"benchmark", file)
        router.seed(tasks)
        for text, task in stream(seed, _LENGTH):
            begun = time.perf_counter()
            route = router.route(text, names, THRESHOLD)
            routed = time.perf_counter()
            router.learn([(route.features, task)], names)
            learning.append(time.perf_counter() - routed)
            routing.append(routed - begun)
            best = next(iter(route.scores))
            asked.append({"right": best == task, "confidence": route.confidence})
        nbytes = file.stat().st_size
    return {
        "asked": asked,
        "refused": [float(router.route(text, names, THRESHOLD).fallback) for text in STRANGE],
        "microseconds_route": 1e6 * median(routing),
        "milliseconds_learn": 1e3 * median(learning),
        "nbytes": nbytes,
    }


def _calibration_error(asked: list[dict[str, Any]]) -> float:
    """Expected calibration error over ten bins of confidence (Guo et al. 2017)."""
    bins: dict[int, list[dict[str, Any]]] = {}
    for one in asked:
        bins.setdefault(min(9, int(10 * one["confidence"])), []).append(one)
    gaps = [
        len(held) * abs(fmean(one["confidence"] for one in held) - fmean(one["right"] for one in held))
        for held in bins.values()
    ]
    return sum(gaps) / len(asked)


def main() -> None:
    """Print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/routing.json")
    options = parser.parse_args()
    runs = [_run(seed) for seed in _SEEDS]
    figures = measure(runs)
    print(json.dumps(figures, indent=2))
    if options.record:
        samples = {
            f"seed_{seed}_wrong": [float(not one["right"]) for one in run["asked"]]
            for seed, run in zip(_SEEDS, runs, strict=True)
        }
        write("routing", {"seeds": list(_SEEDS), "length": _LENGTH, "threshold": THRESHOLD}, samples, figures)


if __name__ == "__main__":
    main()
