"""``edge-autoglm prompts list``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.cli.output import console, json_option, write_json
from edge_autoglm.cli.prompts.sources import Source, read_sources
from edge_autoglm.prompts import Task

_SHOWN = 12
"""Characters of a fingerprint that a person compares."""


@click.command("list")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path))
@json_option
def list_tasks(sources: Sequence[Path], json_file: Path | None) -> None:
    """List the tasks of SOURCES: versions, variants and fingerprints.

    SOURCES are bundles, task files or folders of task files; without any, the built-in library. Tasks of one
    fingerprint answer alike: it covers what decides an answer, and neither version nor descriptions, probes or guard.

    \b
    edge-autoglm prompts list
    edge-autoglm prompts list model.bundle my_tasks --json tasks.json
    """
    figures = []
    for source in read_sources(sources):
        tasks = source.catalogue().tasks
        console.print(_table(source, tasks))
        figures.append({"source": source.name, "tasks": [_figures(task) for task in tasks]})
    write_json(json_file, {"sources": figures})


def _table(source: Source, tasks: Sequence[Task]) -> Table:
    table = Table("task", "version", "kind", "variants", "fingerprint", title=escape(source.name), show_lines=True)
    for task in tasks:
        kind = task.kind if not task.labels else f"{task.kind}: {', '.join(task.labels)}"
        variants = ", ".join(variant.name for variant in task.variants)
        cells = (task.name, str(task.version), kind, f"{len(task.variants)}: {variants}", task.fingerprint[:_SHOWN])
        table.add_row(*map(escape, cells))
    return table


def _figures(task: Task) -> dict[str, Any]:
    return {
        "task": task.name,
        "version": str(task.version),
        "description": task.description,
        "file": task.file,
        "kind": task.kind,
        "inputs": list(task.inputs),
        "labels": list(task.labels),
        "variants": [{"name": variant.name, "description": variant.description} for variant in task.variants],
        "probes": len(task.probes),
        "golden": len(task.golden),
        "guard": task.guard.plain(),
        "fingerprint": task.fingerprint,
    }
