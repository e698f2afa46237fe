"""The demo from beginning to end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from edge_autoglm import Bundle, Runtime, RuntimeConfig
from edge_autoglm.demo.bundles import exported_bundle, extended_bundle, first_bundle, long_prefix
from edge_autoglm.demo.display import Display, display
from edge_autoglm.demo.measure import Measurements, accuracy_alone, measure_decode_speed, measure_first_token
from edge_autoglm.demo.model import fetch_model
from edge_autoglm.demo.plot import plot_timeline
from edge_autoglm.demo.report import DemoReport, build_report
from edge_autoglm.demo.session import TASK, PlannedSwap, answer_all
from edge_autoglm.demo.snippets import Snippet, load_snippets
from edge_autoglm.demo.tables import show
from edge_autoglm.demo.timeline import Answered, Timeline
from edge_autoglm.device.memory import peak_rss
from edge_autoglm.errors import EdgeAutoGLMError

_FIRST_TOKEN_PROMPTS = 15


def run_demo(out: Path, requests: int, json_file: Path | None, seed: int, console: Console) -> DemoReport:
    """Fetch, export, answer, learn, swap, measure, report.

    Args:
        out: Folder for the plot and the learner's state; made where it does not exist.
        requests: Snippets to answer, at least 8.
        json_file: Also write the figures there.
        seed: Of the order of the snippets and of the policy.
        console: Where to show progress and the result.

    Raises:
        EdgeAutoGLMError: The model cannot be fetched, or a file cannot be written.
    """
    state, plot = _outputs(out)
    snippets = load_snippets(requests, seed)
    with display(console) as shown:
        base = exported_bundle(fetch_model(progress=shown.stage), shown.stage)
        first, extended = first_bundle(base, shown.stage), extended_bundle(base, shown.stage)
        # Laid out as a device would be; the demo asks for each promotion itself, to time it.
        config = RuntimeConfig(tasks=(TASK,), slots=2, context_length=512, seed=seed, promote_every=None)
        with Runtime.open(first, state=state, config=config, progress=shown.stage) as runtime:
            timeline = _answer(runtime, snippets, extended, shown)
            window = min(200, len(timeline.answers) // 2)
            measured = _measure(runtime, snippets[-window:], shown)
    plot_timeline(timeline, plot)
    report = build_report(timeline, measured, plot, window)
    show(report, console)
    if json_file is not None:
        _write(json_file, json.dumps(report.to_json(), indent=1) + "\n")
    return report


def _outputs(out: Path) -> tuple[Path, Path]:
    """A fresh state folder, so that every run learns from nothing, and the path of the plot."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="state-", dir=out)), out / "demo.png"
    except OSError as error:
        raise EdgeAutoGLMError(f"{out}: cannot be written: {error.strerror}", "Name another with --out.") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EdgeAutoGLMError(f"{path}: cannot be written: {error.strerror}", "Name a writable file.") from error


def _answer(runtime: Runtime, snippets: Sequence[Snippet], extended: Bundle, shown: Display) -> Timeline:
    """A policy after every eighth of the requests; the longer prompt set after the first."""
    eighth = len(snippets) // 8
    planned = [PlannedSwap(number * eighth, "policy", runtime.learner.promote) for number in range(1, 8)]
    planned.insert(0, PlannedSwap(eighth // 2, "prompts", lambda: runtime.swap(extended)))
    done = 0

    def count(answer: Answered) -> None:
        nonlocal done
        done += 1
        shown.answered(answer, done, len(snippets))

    return answer_all(runtime, snippets, planned, count, shown.swapped)


def _measure(runtime: Runtime, snippets: Sequence[Snippet], shown: Display) -> Measurements:
    memory = peak_rss()
    variants = runtime.tasks[TASK]
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        shown.stage("each alone", done, len(variants) * len(snippets))

    alone = {variant: accuracy_alone(runtime, variant, snippets, count) for variant in variants}
    rests = [f"{snippet.text}\nSentiment:" for snippet in snippets[:_FIRST_TOKEN_PROMPTS]]
    return Measurements(
        alone=alone,
        first_token=measure_first_token(runtime, long_prefix(), rests),
        decode_speed=measure_decode_speed(runtime),
        peak_memory=memory,
    )
