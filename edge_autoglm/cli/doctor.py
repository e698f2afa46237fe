"""``edge-autoglm doctor``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.cli.output import console, json_option, write_json
from edge_autoglm.device.checks import Check, Status
from edge_autoglm.device.diagnosis import diagnose
from edge_autoglm.device.host import gather_facts

_STYLES = {Status.OK: "green", Status.NOTE: "yellow", Status.PROBLEM: "bold red"}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@json_option
@click.pass_context
def command(context: click.Context, bundle: Path | None, json_file: Path | None) -> None:
    """Say whether this machine can run a model well: CPU, memory, GPU, ONNX Runtime, packages.

    With BUNDLE, also whether that bundle is whole, fits into memory and suits the CPU.

    A `note` is worth knowing; a `problem` breaks something, and makes the command fail. Each comes with its cure.
    ONNX Runtime is asked in a process of its own, with its telemetry off.

    \b
    edge-autoglm doctor
    edge-autoglm doctor smollm2.bundle --json facts.json
    """
    facts = gather_facts()
    checks, figures = diagnose(facts), facts.to_json()
    if bundle is not None:
        from edge_autoglm.cli.bundle_checks import check_bundle

        findings, plan = check_bundle(bundle, facts)
        checks += findings
        figures["bundle"] = {"path": str(bundle), "memory": None if plan is None else asdict(plan)}
    console.print(_table(checks))
    _print_cures(checks)
    write_json(json_file, {**figures, "checks": [{**asdict(each), "status": each.status.value} for each in checks]})
    if any(each.status is Status.PROBLEM for each in checks):
        context.exit(1)


def _table(checks: Iterable[Check]) -> Table:
    table = Table("status", "what", "found")
    for each in checks:
        table.add_row(each.status.value, each.subject, escape(each.found), style=_STYLES[each.status])
    return table


def _print_cures(checks: list[Check]) -> None:
    """Problems first; outside the table, so that commands can be copied."""
    for status in (Status.PROBLEM, Status.NOTE):
        for each in checks:
            if each.status is status:
                console.print(
                    f"[{_STYLES[status]}]{status.value}[/] {each.subject}: {escape(each.cure)}", soft_wrap=True
                )
    problems = sum(each.status is Status.PROBLEM for each in checks)
    console.print(f"{problems} problem{'' if problems == 1 else 's'}.")
