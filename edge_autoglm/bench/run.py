"""A benchmark from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_autoglm import Bundle, Progress, Runtime, RuntimeConfig
from edge_autoglm.bench.config import BenchConfig
from edge_autoglm.bench.host import Host
from edge_autoglm.bench.loading import timed_open
from edge_autoglm.bench.measure import measure_round
from edge_autoglm.bench.prompts import bench_prompts
from edge_autoglm.bench.report import BenchReport, BundleFacts, PeakMemory
from edge_autoglm.bench.samples import Round
from edge_autoglm.device.memory import peak_rss
from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import PromptTooLong
from edge_autoglm.values import silent


def run_bench(bundle: str | Path, config: BenchConfig, progress: Progress = silent) -> BenchReport:
    """Open a bundle as an app would, ask it seeded prompts, and take the times.

    Every prompt is different, so that no cache answers; answers are greedy. Load time and peak memory are those of a
    fresh process: call this once in a process, and first.

    Args:
        bundle: Folder written by the exporter.
        config: What to measure.
        progress: Told of the stages of loading, then of each round that is over.

    Raises:
        BundleError: The bundle is damaged or foreign.
        PromptTooLong: Prompt and answer are longer than the model can take.
        RequestError: There are not so many different prompts.
        DeviceUnavailable: The device that was asked for cannot run the bundle here.
        MissingDependency: The bundle's engine is not installed.
    """
    opened = Bundle.open(bundle, verify=False)  # Runtime.open verifies it, on the clock
    _check_fits(opened, config)
    host = Host.here()
    prompts = bench_prompts(opened, config.prompt_tokens, config.rounds * config.concurrency, config.seed)
    threads = config.threads or default_threads()
    before = peak_rss()
    runtime, load = timed_open(Path(bundle), threads, config.device, _layout(config), progress)
    with runtime:
        placement = runtime.stats.placement
        loaded = peak_rss()
        rounds = tuple(_rounds(runtime, prompts, config, progress))
        memory = PeakMemory(before, loaded, peak_rss())
    return BenchReport(
        config=config,
        bundle=BundleFacts.of(opened, str(bundle)),
        host=host,
        threads=threads,
        placement=placement,
        load=load,
        memory=memory,
        warmup=rounds[: config.warmup],
        rounds=rounds[config.warmup :],
    )


def _layout(config: BenchConfig) -> RuntimeConfig:
    """Like an app's, with the context that it has by default if the requests do not need more."""
    return RuntimeConfig(
        tasks=(),
        slots=config.concurrency,
        context_length=max(RuntimeConfig().context_length, config.tokens),
        seed=config.seed,
        promote_every=None,
    )


def _check_fits(bundle: Bundle, config: BenchConfig) -> None:
    longest = bundle.manifest.model.context_length
    if config.tokens > longest:
        raise PromptTooLong(
            f"{config.prompt_tokens} prompt tokens and {config.new_tokens} new ones are more than the {longest} that "
            f"{bundle.manifest.model.name} can take",
            "Ask for fewer.",
        )


def _rounds(runtime: Runtime, prompts: Sequence[str], config: BenchConfig, progress: Progress) -> Iterator[Round]:
    at_once = config.concurrency
    for number in range(config.rounds):
        stage, done, total = "measuring", number - config.warmup, config.repeat
        if number < config.warmup:
            stage, done, total = "warming up", number, config.warmup
        progress(stage, done, total)
        yield measure_round(runtime, prompts[number * at_once : (number + 1) * at_once], config.new_tokens)
        progress(stage, done + 1, total)
