"""``edge-autoglm prompts check``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from edge_autoglm.cli.output import console, json_option, megabytes, progress_bars, write_json
from edge_autoglm.cli.prompts.sources import Source, bundle_option, model_for, read_sources
from edge_autoglm.prompts.checks.findings import Finding
from edge_autoglm.prompts.checks.run import Report, check_files

_COLOURS = {"error": "red", "warning": "yellow"}


@click.command()
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path))
@bundle_option
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@json_option
def check(sources: Sequence[Path], bundle_path: Path | None, strict: bool, json_file: Path | None) -> None:
    """Check the task files of SOURCES, and say what each variant costs. Exits with 1 on errors.

    SOURCES are bundles, task files or folders of task files; without any, the built-in library. Found are fields that
    are wrong or missing, undefined variables, variants that render alike, and examples that the task's own guard
    refuses; with a bundle's tokenizer also labels that share their first token, and static prefixes that could be
    longer.

    \b
    edge-autoglm prompts check
    edge-autoglm prompts check my_tasks --bundle model.bundle --strict
    edge-autoglm prompts check model.bundle --json report.json
    """
    figures = []
    failed = False
    for source in read_sources(sources):
        model = model_for(source, bundle_path)
        with progress_bars() as progress:
            report = check_files(source.files, model, progress)
        failed |= bool(report.errors or (strict and report.warnings))
        _print(source, report, 0 if model is None else model.kv_bytes_per_token)
        figures.append(_figures(source, report))
    write_json(json_file, {"sources": figures})
    if failed:
        raise SystemExit(1)


def _print(source: Source, report: Report, kv_bytes_per_token: int) -> None:
    console.rule(Text(source.name))
    for finding in report.findings:
        console.print(_line(finding))
    if report.costs:
        console.print(_costs(report))
    if report.shared_tokens is not None:
        held = megabytes(report.shared_tokens * kv_bytes_per_token)
        console.print(
            f"Resident for all together: {report.shared_tokens} tokens, {held} of KV (shared beginnings once)."
        )
    if report.skipped:
        console.print(f"Not checked, for want of a tokenizer: {', '.join(report.skipped)}. Name a --bundle.")
    variants = sum(len(checked.task.variants) for checked in report.tasks)
    console.print(
        f"{len(report.tasks)} tasks, {variants} variants: {report.errors} errors, {report.warnings} warnings."
    )


def _line(finding: Finding) -> Text:
    name = Path(finding.file).name
    where = name if finding.line is None else f"{name}:{finding.line}"
    # Errors of the loader name file, field and line themselves.
    said = finding.message.removeprefix(f"{name}: ").removesuffix(f" (line {finding.line})")
    field = f" {finding.field}:" if finding.field and not said.startswith(finding.field) else ""
    line = Text(f"{finding.severity}: ", style=_COLOURS[finding.severity])
    return line.append(f"{where}:{field} {said}. {finding.cure}", style="default")


def _costs(report: Report) -> Table:
    table = Table("task", "variant", "prefix tokens", "prompt tokens", "computed a request", "resident KV")
    for cost in report.costs:
        computed = cost.probe_tokens - cost.prefix_tokens
        cells = (cost.prefix_tokens, cost.probe_tokens, computed, megabytes(cost.resident_bytes))
        table.add_row(Text(cost.task), Text(cost.variant), *map(str, cells))
    return table


def _figures(source: Source, report: Report) -> dict[str, Any]:
    return {
        "source": source.name,
        "tasks": [checked.task.name for checked in report.tasks],
        "errors": report.errors,
        "warnings": report.warnings,
        "findings": [asdict(finding) for finding in report.findings],
        "costs": [asdict(cost) for cost in report.costs],
        "resident_tokens": report.shared_tokens,
        "not_checked": list(report.skipped),
    }
