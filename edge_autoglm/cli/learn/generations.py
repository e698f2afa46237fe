"""Generations as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from edge_autoglm.cli.output import megabytes
from edge_autoglm.swap.store.listing import KeptGeneration


def generations_table(kept: Sequence[KeptGeneration]) -> Table:
    """One a row; the active one is marked. Sizes leave out what is shared with those above."""
    table = Table("", "number", "version", "standing", "reason", "when (UTC)", "size", title="generations")
    for one in kept:
        mark = "active" if one.active else ""
        table.add_row(mark, str(one.number), *map(escape, _about(one)), megabytes(one.nbytes))
    return table


def _about(one: KeptGeneration) -> tuple[str, str, str, str]:
    record = one.record
    if record is None:
        return "?", "damaged", one.damage, ""
    standing = record.standing.value + ("" if record.good else f": {record.standing_reason}")
    return str(record.version), standing, record.reason, record.created.replace("T", " ").removesuffix("+00:00")
