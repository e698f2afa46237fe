"""``edge-autoglm bench``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from edge_autoglm.bench.config import BenchConfig
from edge_autoglm.cli.device_option import device_option
from edge_autoglm.cli.output import console, json_option, write_json
from edge_autoglm.errors import EdgeAutoGLMError

_DEFAULT = BenchConfig()
_COUNT = click.IntRange(min=1)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--prompt-tokens",
    type=_COUNT,
    default=_DEFAULT.prompt_tokens,
    show_default=True,
    metavar="N",
    help="Length of every prompt.",
)
@click.option(
    "--new-tokens",
    type=_COUNT,
    default=_DEFAULT.new_tokens,
    show_default=True,
    metavar="N",
    help="Length of every answer.",
)
@click.option("--repeat", type=_COUNT, default=_DEFAULT.repeat, show_default=True, help="Rounds that are measured.")
@click.option(
    "--warmup",
    type=click.IntRange(min=0),
    default=_DEFAULT.warmup,
    show_default=True,
    help="Rounds before them: recorded, not part of the figures.",
)
@click.option(
    "--concurrency",
    type=_COUNT,
    default=_DEFAULT.concurrency,
    show_default=True,
    metavar="R",
    help="Requests of a round, asked at once.",
)
@click.option("--threads", type=_COUNT, help="Of an engine on the CPU.  [default: what the system grants this process]")
@device_option
@click.option("--seed", default=_DEFAULT.seed, show_default=True, help="Of the choice of prompts.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png", help="Also draw the latencies."
)
@json_option
def command(
    bundle: Path,
    prompt_tokens: int,
    new_tokens: int,
    repeat: int,
    warmup: int,
    concurrency: int,
    threads: int | None,
    device: str,
    seed: int,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    """Measure how fast BUNDLE answers on this machine.

    Every request is a different text of exactly N tokens, so that no cache helps; answers are greedy. Times are taken
    where an app would take them, around the public API.

    \b
    first token   from the call to the first text: tokenising, waiting, prefill
    inter-token   between one piece of text and the next, over all requests
    end to end    from the call to the end of the answer
    queue         the part of it spent waiting for a KV slot
    prefill       prompt tokens a second until the first token, of one request
    decode        new tokens a second after the first one, of one request
    throughput    new tokens a second of all requests of a round, prefill included
    load          opening the bundle: checking it, starting the engine
    peak memory   most bytes that the process had resident

    p95: 95 of 100 samples took no longer; it is shown from 20 samples on, p99 from 100. Run the command alone on the
    machine, more than once.

    \b
    edge-autoglm bench smollm2.bundle
    edge-autoglm bench smollm2.bundle --prompt-tokens 1024 --new-tokens 64 --json bench.json --plot bench.png
    edge-autoglm bench smollm2.bundle --concurrency 16 --threads 2
    edge-autoglm bench smollm2-gpu.bundle --device tensorrt
    """
    from edge_autoglm.bench import run_bench
    from edge_autoglm.bench.display import still_bars
    from edge_autoglm.bench.plot import plot_report
    from edge_autoglm.bench.table import show
    from edge_autoglm.plotting import require_matplotlib

    config = BenchConfig(
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        repeat=repeat,
        warmup=warmup,
        concurrency=concurrency,
        threads=threads,
        device=device,
        seed=seed,
    )
    _check_output(json_file)
    _check_output(plot)
    if plot is not None:
        if plot.suffix.lower() != ".png":
            raise click.UsageError(f"--plot draws a PNG: name {plot} something.png")
        require_matplotlib()
    with still_bars(Console(stderr=True)) as progress:
        report = run_bench(bundle, config, progress)
    show(report, console)
    write_json(json_file, report.to_json())
    if plot is not None:
        plot_report(report, plot)


def _check_output(path: Path | None) -> None:
    """Before anything is measured: afterwards it would be lost."""
    if path is not None and not path.parent.is_dir():
        raise EdgeAutoGLMError(f"{path}: cannot be written: {path.parent} is no folder", "Make that folder first.")
