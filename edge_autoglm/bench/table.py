"""Prints a report for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_autoglm.bench.report import BenchReport, PeakMemory
from edge_autoglm.bench.summary import Summary

_TIMES = {"ttft": "first token", "inter_token": "inter-token", "end_to_end": "end to end", "queue": "queue"}
_SPEEDS = {"prefill_speed": "prefill", "decode_speed": "decode", "throughput": "throughput"}
_ENOUGH_FOR_P95, _ENOUGH_FOR_P99 = 20, 100
"""Samples from which on at least one lies beyond the percentile; of fewer, it says no more than the maximum."""


def show(report: BenchReport, console: Console) -> None:
    """Print what was measured, on what, and what to know of it."""
    bundle, config = report.bundle, report.config
    answers = f"{config.new_tokens} new tokens, greedy"
    at_once = f", {config.concurrency} at once" if config.concurrency > 1 else ""
    console.print(
        escape(
            f"{bundle.model}, {bundle.precision}, KV {bundle.kv_type}, {bundle.size / 1e6:.1f} MB ({bundle.path})\n"
            f"{_where(report)}\n"
            f"{config.repeat} rounds after {config.warmup} to warm up; prompts of {config.prompt_tokens} tokens, "
            f"{answers}{at_once}"
        ),
        highlight=False,
        soft_wrap=True,
    )
    console.print(_figures(report))
    for line in (_load(report), _memory(report.memory), *report.notes()):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _where(report: BenchReport) -> str:
    if report.placement.device == "cpu":
        return f"{report.threads} threads on {report.host.cpu.model}"
    return str(report.placement)


def _figures(report: BenchReport) -> Table:
    table = Table()
    table.add_column("")
    for heading in ("median", "p95", "p99", "min", "max", "n"):
        table.add_column(heading, justify="right")
    figures = report.figures()
    for name, label in _TIMES.items():
        if times := figures[name]:
            table.add_row(f"{label}, ms", *_time_cells(times))
    for name, label in _SPEEDS.items():
        if speeds := figures[name]:
            table.add_row(f"{label}, tokens/s", *_speed_cells(speeds))
    return table


def _time_cells(summary: Summary) -> Iterator[str]:
    yield _milliseconds(summary.p50)
    yield _milliseconds(summary.p95) if summary.count >= _ENOUGH_FOR_P95 else "-"
    yield _milliseconds(summary.p99) if summary.count >= _ENOUGH_FOR_P99 else "-"
    yield from (_milliseconds(summary.min), _milliseconds(summary.max), str(summary.count))


def _speed_cells(summary: Summary) -> tuple[str, ...]:
    """No high percentiles: of a speed they would be the luckiest cases."""
    return (f"{summary.p50:.1f}", "-", "-", f"{summary.min:.1f}", f"{summary.max:.1f}", str(summary.count))


def _load(report: BenchReport) -> str:
    load, first = report.load, (report.warmup or report.rounds)[0].requests[0]
    stages = "".join(f"{stage} {seconds:.2f} s, " for stage, seconds in load.stages.items())
    return (
        f"Load: {load.seconds:.2f} s ({stages}engine and tokenizer {load.rest:.2f} s). "
        f"The first request of all had its first token after {_milliseconds(first.ttft)} ms."
    )


def _memory(memory: PeakMemory) -> str:
    before, loaded, end = (
        "not known" if size is None else f"{size / 1e6:.0f} MB" for size in (memory.before, memory.loaded, memory.end)
    )
    return f"Peak memory: {end} ({loaded} when loaded, {before} before)."


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"
