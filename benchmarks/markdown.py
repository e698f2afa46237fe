"""Tables of the pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table whose first column is text and whose others are figures."""
    yield f"| {' | '.join(heads)} |"
    yield "|---" + "|---:" * (len(heads) - 1) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def number(value: float | None, digits: int = 0, factor: float = 1.0) -> str:
    """A figure in another unit; a dash where there is none."""
    return "-" if value is None else f"{value * factor:.{digits}f}"


def percent(value: float | None) -> str:
    """A share; a dash where there is none."""
    return "-" if value is None else f"{value:.0%}"
