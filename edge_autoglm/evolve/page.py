"""The report as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from edge_autoglm.evolve.intervals import Bounds
from edge_autoglm.evolve.report import EvolveReport, Figures, VariantReport


def page(report: EvolveReport) -> str:
    """A page for people."""
    parts = (_head(report), _variants(report), _steps(report), _operators(report), _course(report), _left_out(report))
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(report: EvolveReport) -> Iterator[str]:
    examples, calls = report.examples, report.calls
    yield f"# {report.task}: what the search found"
    yield ""
    yield (
        f"{report.candidates} prompts tried with {calls['search']} scored prompts ({calls['total']} with the test; the "
        f"budget was {calls['budget']}), strategy {report.settings['strategy']}, seed {report.settings['seed']}. "
        f"Examples: {examples['train']} to write from, {examples['validation']} to choose by, {examples['test']} to "
        f"judge by; left out: {examples['repeated']} repeated, {examples['contradictory']} contradictory."
    )
    if not report.found:
        yield ""
        yield f"Nothing was better than the hand-written variant `{report.hand_written}`: the task stays as it is."


def _variants(report: EvolveReport) -> Iterator[str]:
    judged = "test" if report.examples["test"] else "validation"
    yield ""
    yield f"## Variants ({report.metric}, 95 % intervals)"
    yield ""
    yield f"| variant | {judged} | over plain | over `{report.hand_written}` | chosen by | tokens | of them resident |"
    yield "|---|---|---|---|---|---:|---:|"
    for variant in report.variants:
        figures = variant.validation if variant.test is None else variant.test
        yield f"| {_named(variant)} | {_cells(figures)} | {_bounds(variant.validation.value)} | {_tokens(variant)} |"
    yield ""
    if report.examples["test"]:
        yield "Differences are on the test examples, which nothing was chosen by; expect what the test says."
    else:
        yield "There are no test examples: the best of many looks better on what it was chosen by than it is."


def _named(variant: VariantReport) -> str:
    return f"`{variant.name}`" + (" (hand-written)" if variant.origin == "hand-written" else "")


def _cells(figures: Figures) -> str:
    return " | ".join(map(_bounds, (figures.value, figures.over_plain, figures.over_hand_written)))


def _tokens(variant: VariantReport) -> str:
    return f"{variant.prompt_tokens:.0f} | {variant.static_tokens}"


def _bounds(found: Bounds | None) -> str:
    return "" if found is None else str(found)


def _steps(report: EvolveReport) -> Iterator[str]:
    for variant in report.found:
        yield ""
        yield f"How `{variant.name}` came to be:"
        yield ""
        yield from (f"{number}. {step}" for number, step in enumerate(variant.made_by, start=1))


def _operators(report: EvolveReport) -> Iterator[str]:
    yield ""
    yield "## What each operator contributed"
    yield ""
    yield "Gains are over the prompt that was rewritten, on the examples that both were scored on."
    yield ""
    yield "| operator | rewrites | better | mean gain | best gain | in the result |"
    yield "|---|---:|---:|---:|---:|---:|"
    for each in report.operators:
        gains = f"{each.mean_gain:+.3f} | {each.best_gain:+.3f}"
        yield f"| {each.operator} | {each.tried} | {each.better} | {gains} | {each.in_result} |"


def _course(report: EvolveReport) -> Iterator[str]:
    if report.settings["strategy"] == "random":
        return
    yield ""
    yield "## Course"
    yield ""
    yield "| generation | prompts that raced | scored so far | best | on examples |"
    yield "|---:|---:|---:|---:|---:|"
    for each in report.generations:
        yield f"| {each.number} | {each.candidates} | {each.calls} | {each.best:.3f} | {each.count} |"


def _left_out(report: EvolveReport) -> Iterator[str]:
    if report.unusable:
        yield ""
        yield f"{len(report.unusable)} rewrites could not be asked; the first: {report.unusable[0]}"
