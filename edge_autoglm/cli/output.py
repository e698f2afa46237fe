"""What commands share: progress bars, and figures as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from edge_autoglm.errors import EdgeAutoGLMError
from edge_autoglm.values import Progress as ProgressCallback

console = Console()

json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the figures to this file."
)


@contextmanager
def progress_bars() -> Iterator[ProgressCallback]:
    """A `Progress` callback that shows one bar a stage on standard error."""
    columns = (TextColumn("{task.description:>12}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write figures where the user asked for them."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise EdgeAutoGLMError(f"{path}: cannot be written: {error.strerror}", "Name a writable file.") from error


def megabytes(size: int) -> str:
    """Bytes as megabytes of a million bytes."""
    return f"{size / 1e6:.1f} MB"
