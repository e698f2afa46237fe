"""What the demo shows while it works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from edge_autoglm.demo.plot import WINDOW
from edge_autoglm.demo.timeline import Answered, SwapWindow


class Display:
    """Progress bars, one a stage, and a line for each swap."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._stages: dict[str, TaskID] = {}
        self._recent: deque[bool] = deque(maxlen=WINDOW)

    def stage(self, name: str, done: int, total: int) -> None:
        """A `Progress` callback."""
        if name not in self._stages:
            self._stages[name] = self._bars.add_task(name, note="")
        self._bars.update(self._stages[name], completed=done, total=total)

    def answered(self, answer: Answered, number: int, total: int) -> None:
        """One more request is answered."""
        self._recent.append(answer.correct)
        self.stage("answering", number, total)
        note = f"{sum(self._recent) / len(self._recent):.0%} of the last {len(self._recent)} right"
        self._bars.update(self._stages["answering"], note=note)

    def swapped(self, swap: SwapWindow) -> None:
        """A swap ended, well or not."""
        what = "a newly learnt policy" if swap.kind == "policy" else "a longer prompt set"
        how = f"was rejected: {swap.note}" if swap.generation is None else f"is live as generation {swap.generation}"
        seconds = swap.ended - swap.started
        line = f"at request {swap.at}: {what} {how} ({seconds:.1f} s in the background)"
        self._bars.console.print(line, soft_wrap=True)


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """Bars on a console for as long as the context lasts."""
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        yield Display(bars)
