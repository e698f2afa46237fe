"""TensorRT plans as a small table."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from edge_autoglm.bundle import PlanEntry
from edge_autoglm.cli.output import megabytes


def plan_table(plans: Iterable[tuple[PlanEntry, int]]) -> Table:
    """A row a plan: what opens it, where it runs, for which steps, and its size, given in bytes."""
    table = Table()
    table.add_column("plan", overflow="fold")  # a file to be copied: never cut short
    table.add_column("for")
    for plan, size in plans:
        gpus = ", ".join(plan.compute_capabilities)
        steps = f"{plan.rows} rows, pages of {plan.page}"
        facts = (f"{plan.library} {plan.version}", f"compute capability {gpus}", plan.platform, steps, megabytes(size))
        table.add_row(plan.path, "\n".join(facts))
    return table
