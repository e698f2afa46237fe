"""Many swaps under streams that never stop: does anybody notice?

    python -m benchmarks.swap_soak BUNDLE [--swaps 1000] [--streams 8]

Policies, prompt sets and bundles with a flipped byte are swapped in one after the other while streams decode. Each text
is compared with what it is without any swap; the seconds between its pieces with those of a phase without swaps just
before.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from rich.progress import Progress

from benchmarks import record
from edge_autoglm import Bundle, Rejected, Runtime, RuntimeConfig, SamplingParams, Swapped
from edge_autoglm.device.memory import current_rss

NEW_TOKENS = 24
ROLLBACKS = 20
PROMPTS = (
    "The old lighthouse at the end of the pier",
    "To make a good soup you need",
    "In the year 1969 two men",
    "My grandmother always told me that",
    "A list of things to do before winter:",
    "The difference between a crow and a raven is",
    "When the train finally arrived,",
    "Water boils at a lower temperature when",
)


@dataclass
class Soak:
    """What was seen.

    Attributes:
        outcomes: How often a swap ended in which way; ``altered``, ``failed`` count texts.
        calm, during: Seconds between two pieces of a stream without and with swaps; packed, as hundreds of thousands of
            Python numbers would be the larger part of what memory is seen to grow by.
        swap_seconds: Of each swap, build and check included.
        rss: Bytes after each swap.
        texts: Streams that ended.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    calm: array[float] = field(default_factory=lambda: array("d"))
    during: array[float] = field(default_factory=lambda: array("d"))
    swap_seconds: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    texts: int = 0

    def added_p99(self) -> float:
        """Seconds that swaps add to the 99th percentile between two pieces."""
        return float(np.percentile(self.during, 99) - np.percentile(self.calm, 99))

    def decode_step(self) -> float:
        """Median seconds between two pieces without swaps."""
        return statistics.median(self.calm)

    def rss_growth(self) -> float:
        """Of the last swaps to those around the tenth."""
        return statistics.median(self.rss[-10:]) / statistics.median(self.rss[5:15])


def damaged(bundle: Bundle, folder: Path) -> Path:
    """A copy with a byte of the weights flipped."""
    shutil.copytree(bundle.root, folder)
    weights = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with weights.open("r+b") as file:
        file.seek(weights.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    return folder


def soak(
    runtime: Runtime,
    bundles: Sequence[Bundle],
    broken: Path,
    swaps: int,
    streams: int,
    calm_seconds: float,
    on_swap: Callable[[], None] = lambda: None,
) -> Soak:
    """Swap a policy, a prompt set and a damaged bundle in turn while streams decode.

    Args:
        runtime: Open, with as many slots as streams.
        bundles: Prompt sets over one engine; the second is swapped in first.
        broken: A damaged bundle.
        swaps: Attempts.
        streams: At the same time.
        calm_seconds: Of the phase without swaps.
        on_swap: Called after each.
    """
    seen, over, swapping = Soak(), threading.Event(), threading.Event()
    expected = [runtime.generate(prompt, max_new_tokens=NEW_TOKENS).text for prompt in PROMPTS]
    counting, params = threading.Lock(), SamplingParams(max_new_tokens=NEW_TOKENS)

    def stream(number: int) -> None:
        while not over.is_set():
            gaps, text = [], ""
            try:
                pieces, last = runtime.generate_stream(PROMPTS[number % len(PROMPTS)], params), None
                for piece in pieces:
                    now = time.perf_counter()
                    gaps += [] if last is None else [now - last]
                    text, last = text + piece, now
            except Exception as error:
                with counting:
                    seen.outcomes[f"failed: {error}"] += 1
                continue
            with counting:
                seen.texts += 1
                seen.outcomes["altered"] += text != expected[number % len(PROMPTS)]
                (seen.during if swapping.is_set() else seen.calm).extend(gaps)

    threads = [threading.Thread(target=stream, args=(number,)) for number in range(streams)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(calm_seconds)
        swapping.set()
        for number in range(swaps):
            _swap(runtime, bundles, broken, number, seen)
            on_swap()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return seen


def rollback_seconds(runtime: Runtime) -> float:
    """From the call to the moment at which a request of the previous generation has its slot and begins."""
    outcome = runtime.learner.promote()
    if not isinstance(outcome, Swapped):
        raise RuntimeError(f"the promotion before the rollback ended as {outcome}")
    started = time.perf_counter()
    runtime.learner.rollback()
    reply = runtime.generate(PROMPTS[0], max_new_tokens=1)
    return time.perf_counter() - started - (reply.timings.total - reply.timings.queue)


def _swap(runtime: Runtime, bundles: Sequence[Bundle], broken: Path, number: int, seen: Soak) -> None:
    started = time.perf_counter()
    kind = ("policy", "prompts", "policy", "damaged")[number % 4]
    if kind == "policy":
        outcome = runtime.learner.promote()
    else:
        outcome = runtime.swap(broken if kind == "damaged" else bundles[(number // 4 + 1) % len(bundles)])
    right = isinstance(outcome, Rejected if kind == "damaged" else Swapped)
    seen.outcomes[kind if right else f"wrong: {kind}: {outcome}"] += 1
    seen.swap_seconds.append(time.perf_counter() - started)
    seen.rss.append(current_rss() or 0)


@click.command(help=__doc__)
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.option("--swaps", type=click.IntRange(20), default=1000, show_default=True)
@click.option("--streams", type=click.IntRange(1), default=8, show_default=True)
@click.option("--calm", type=float, default=60.0, show_default=True, help="Seconds without swaps, before.")
@click.option("--records", type=click.Path(path_type=Path), default=record.FOLDER, show_default=False)
def main(bundle: Path, swaps: int, streams: int, calm: float, records: Path) -> None:
    """The campaign."""
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        first = Bundle.open(bundle)
        files = first.task_files()
        second = first.derive(Path(folder) / "second", [_reworded(file, Path(folder)) for file in files])
        config = RuntimeConfig(tasks=("sentiment",), slots=streams, context_length=512, seed=1, promote_every=None)
        with Runtime.open(bundle, state=Path(folder) / "state", config=config) as runtime:
            bar = progress.add_task("swaps", total=swaps)
            broken = damaged(first, Path(folder) / "damaged")
            seen = soak(runtime, (first, second), broken, swaps, streams, calm, lambda: progress.advance(bar))
            rollbacks = [rollback_seconds(runtime) for _ in range(ROLLBACKS)]
    figures = {
        "outcomes": dict(seen.outcomes),
        "texts": seen.texts,
        "added_p99_ms": 1e3 * seen.added_p99(),
        "decode_step_ms": 1e3 * seen.decode_step(),
        "rss_growth": seen.rss_growth(),
        "rollback_ms": 1e3 * statistics.median(rollbacks),
    }
    samples = {"swap_seconds": seen.swap_seconds, "rss": [float(each) for each in seen.rss]}
    samples["rollback_seconds"] = rollbacks
    samples |= {"calm_gap": _percentiles(seen.calm), "gap_during_swaps": _percentiles(seen.during)}
    path = record.write(
        "swap_soak", {"swaps": swaps, "streams": streams, "new_tokens": NEW_TOKENS}, samples, figures, records
    )
    for name, value in figures.items():
        click.echo(f"{name}: {value}")
    click.echo(f"record: {path}")


def _reworded(file: Path, folder: Path) -> Path:
    """The task file with another example in each prompt that has none: another text before the input."""
    changed = folder / "reworded" / file.name
    changed.parent.mkdir(exist_ok=True)
    changed.write_text(file.read_text(encoding="utf-8").replace("Review:", "A review:"), encoding="utf-8")
    return changed


def _percentiles(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, range(101))]


if __name__ == "__main__":
    main()
