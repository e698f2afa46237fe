"""A progress bar that stands still while something is being measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from edge_autoglm import Progress

_REDRAW_SECONDS = 0.1


@contextmanager
def still_bars(console: Console) -> Iterator[Progress]:
    """A `Progress` callback that draws one bar a stage, when it is called and at no other time.

    A bar that redraws itself from a thread of its own would take processor time from the tokens being timed.
    """
    columns = (TextColumn("{task.description:>12}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, auto_refresh=False) as bars:
        stages: dict[str, TaskID] = {}
        drawn = -_REDRAW_SECONDS

        def show(stage: str, done: int, total: int) -> None:
            nonlocal drawn
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total)
            bars.update(stages[stage], completed=done, total=total)
            now = time.monotonic()
            if done in (0, total) or now - drawn >= _REDRAW_SECONDS:
                bars.refresh()
                drawn = now

        yield show
