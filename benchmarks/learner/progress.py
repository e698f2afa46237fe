"""A progress bar for what takes minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def bar(total: int, console: Console) -> Iterator[Callable[[str, int], None]]:
    """A bar over ``total`` pieces; what it yields takes a few words and how many pieces are done since."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)
        yield lambda what, done: progress.update(task, advance=done, description=f"{what:40.40}")
