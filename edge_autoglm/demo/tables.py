"""Prints a report."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from edge_autoglm.demo.report import DemoReport


def show(report: DemoReport, console: Console) -> None:
    """Print the tables."""
    console.print(_variant_table(report))
    console.print(_figure_table(report))
    for goal, reached in report.goals().items():
        console.print(f"[green]yes[/] {goal}" if reached else f"[red]no [/] {goal}", highlight=False)
    console.print(f"Plot: {report.plot}", highlight=False)


def _variant_table(report: DemoReport) -> Table:
    table = Table(title="Prompt variants", title_justify="left")
    table.add_column("variant")
    for heading in ("share", f"share, last {report.window}", "accuracy", f"alone, last {report.window}"):
        table.add_column(heading, justify="right")
    for variant in report.variants:
        chosen = "-" if variant.accuracy is None else f"{variant.accuracy:.3f}"
        table.add_row(
            variant.name, f"{variant.share:.1%}", f"{variant.share_last:.1%}", chosen, f"{variant.accuracy_alone:.3f}"
        )
    return table


def _figure_table(report: DemoReport) -> Table:
    table = Table(title="Figures", title_justify="left", show_header=False)
    for label, value in _figures(report):
        table.add_row(label, value)
    return table


def _figures(report: DemoReport) -> Iterator[tuple[str, str]]:
    window, first = report.window, report.first_token
    live = [swap.kind for swap in report.swaps if swap.generation is not None]
    yield f"accuracy, first {window} / last {window}", f"{report.accuracy_first:.3f} / {report.accuracy_last:.3f}"
    yield f"best single variant / mean of all, last {window}", f"{report.best_alone:.3f} / {report.mean_alone:.3f}"
    yield "swapped in live", f"{live.count('policy')} policies, {live.count('prompts')} prompt set(s)"
    yield f"first token, prompt of {first.prompt_tokens} tokens, cold", _milliseconds(first.cold)
    yield f"the same with {first.cached_tokens} tokens resident", _milliseconds(first.resident)
    yield "request, median", _milliseconds(report.median_request)
    yield "request around a swap, longest", _milliseconds(report.longest_request_in_swap)
    yield "stall around a swap, longest", f"{_milliseconds(report.longest_wait_in_swap)} beyond the variant's median"
    yield "prefill / decode", f"{report.prefill_speed:.0f} / {report.decode_speed:.0f} tokens/s"
    yield "requests / failed", f"{report.requests} / {report.failed}"
    yield "answering took", f"{report.answering:.1f} s"
    yield "peak memory", "not known" if report.peak_memory is None else f"{report.peak_memory / 1e6:.0f} MB"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
