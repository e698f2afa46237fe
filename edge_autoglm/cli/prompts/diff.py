"""``edge-autoglm prompts diff``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from edge_autoglm.cli.output import console, json_option, write_json
from edge_autoglm.cli.prompts.sources import Source, read_source
from edge_autoglm.errors import UnknownTask
from edge_autoglm.prompts.diff import Change, TaskDiff, VariantDiff, diff_catalogues
from edge_autoglm.prompts.versions import Bump

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_LONG = 60
"""Characters of a setting that a table still shows in one cell."""


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--task", help="Only this one; all by default, or those of the task file, where one is named.")
@click.option("--strict", is_flag=True, help="Exit with 1 where a version did not go up by what its changes deserve.")
@json_option
def diff(before: Path, after: Path, task: str | None, strict: bool, json_file: Path | None) -> None:
    """Compare the tasks of BEFORE and AFTER, each a bundle, a task file or a folder of task files.

    Says which tasks and variants were added, removed and changed, and which part of the version that deserves: major,
    where an app has to change (kind, inputs, labels); minor, where answers may (variants and their settings); patch for
    the rest (descriptions, probes).

    \b
    edge-autoglm prompts diff old.bundle new.bundle
    edge-autoglm prompts diff model.bundle my_sentiment.yaml
    edge-autoglm prompts diff old.bundle new.bundle --task sentiment --strict
    """
    diffs = _wanted(read_source(before), read_source(after), task)
    changed = [each for each in diffs if each.status != "same" or not each.versioned]
    for each in changed:
        _print(each)
    console.print(f"{len(changed)} of {len(diffs)} tasks differ.")
    write_json(json_file, {"before": str(before), "after": str(after), "tasks": [_figures(each) for each in diffs]})
    if strict and not all(each.versioned for each in diffs):
        raise SystemExit(1)


def _wanted(before: Source, after: Source, task: str | None) -> list[TaskDiff]:
    old, new = before.catalogue(), after.catalogue()
    diffs = diff_catalogues(old, new)
    names = {each.name for each in diffs}
    if task is not None:
        if task not in names:
            raise UnknownTask(f"neither side has a task {task!r}", f"Name one of: {', '.join(sorted(names))}.")
        names = {task}
    for source, catalogue in ((before, old), (after, new)):
        if source.is_file:  # the others are missing there on purpose
            names &= set(catalogue.names)
    return [each for each in diffs if each.name in names]


def _print(diff: TaskDiff) -> None:
    console.rule(Text(f"{diff.name}: {diff.status}"))
    _print_changes(diff.changes)
    for variant in diff.variants:
        console.print(Text(f"variant {variant.name}: {variant.status}", style="bold"))
        _print_changes(variant.changes)
    console.print(Text(_verdict(diff), style="green" if diff.versioned else "yellow"))


def _verdict(diff: TaskDiff) -> str:
    before, after = diff.versions
    if before is None or after is None:
        return f"version {before or after}"
    if diff.deserves is Bump.NONE:
        return (
            f"version {before} -> {after}: nothing changed" if diff.versioned else f"version {before} -> {after}: back"
        )
    part = diff.deserves.name.lower()
    if diff.versioned:
        return f"version {before} -> {after}: fits a {part} change"
    return f"version {before} -> {after}: a {part} change; write version: {diff.expected}, or higher"


def _print_changes(changes: Iterable[Change]) -> None:
    table = Table("setting", "before", "after")
    for change in changes:
        if _is_short(change):
            table.add_row(*map(Text, (change.field, change.before or "-", change.after or "-")))
        else:
            console.print(Text(change.field, style="bold"))
            for line in change.unified:
                console.print(Text(line, style=_COLOURS.get(line[:1], "")))
    if table.row_count:
        console.print(table)


def _is_short(change: Change) -> bool:
    texts = [text for text in (change.before, change.after) if text is not None]
    return all(len(text) <= _LONG and "\n" not in text for text in texts)


def _figures(diff: TaskDiff) -> dict[str, Any]:
    before, after = diff.versions
    return {
        "task": diff.name,
        "status": diff.status,
        "version_before": None if before is None else str(before),
        "version_after": None if after is None else str(after),
        "deserves": diff.deserves.name.lower(),
        "expected_version": None if diff.expected is None else str(diff.expected),
        "versioned": diff.versioned,
        "changes": [_change_figures(change) for change in diff.changes],
        "variants": [_variant_figures(variant) for variant in diff.variants],
    }


def _variant_figures(variant: VariantDiff) -> dict[str, Any]:
    changes = [_change_figures(change) for change in variant.changes]
    return {"variant": variant.name, "status": variant.status, "changes": changes}


def _change_figures(change: Change) -> dict[str, Any]:
    return {
        "field": change.field,
        "before": change.before,
        "after": change.after,
        "deserves": change.deserves.name.lower(),
        "diff": list(change.unified),
    }
