"""Answers the snippets one after another, gives feedback, and has generations swapped in meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from edge_autoglm import Rejected, Runtime, SwapOutcome, Swapped
from edge_autoglm.demo.snippets import Snippet
from edge_autoglm.demo.timeline import Answered, SwapWindow, Timeline
from edge_autoglm.errors import EdgeAutoGLMError

TASK = "sentiment"


@dataclass(frozen=True, slots=True)
class PlannedSwap:
    """Something to swap in once so many requests are answered.

    Attributes:
        at: Number of requests.
        kind: ``policy`` or ``prompts``.
        action: Blocks until the outcome is known; runs on a thread of its own.
    """

    at: int
    kind: str
    action: Callable[[], SwapOutcome]


def answer_all(
    runtime: Runtime,
    snippets: Sequence[Snippet],
    planned: Sequence[PlannedSwap],
    on_answer: Callable[[Answered], None],
    on_swap: Callable[[SwapWindow], None],
) -> Timeline:
    """Answer every snippet; the reward is whether the label was the human one.

    Args:
        runtime: Open, with the task ``sentiment``.
        snippets: In order.
        planned: Swaps; several may be due at the same time, they run one after another.
        on_answer: Called after each answer.
        on_swap: Called from the swapping thread after each outcome.
    """
    answers: list[Answered] = []
    failures: list[str] = []
    windows: list[Future[SwapWindow]] = []
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="demo-swap") as background:
        for number, snippet in enumerate(snippets):
            windows += [background.submit(_swap, swap, on_swap) for swap in planned if swap.at == number]
            try:
                answers.append(_answer(runtime, snippet))
            except EdgeAutoGLMError as error:
                failures.append(str(error))
            else:
                on_answer(answers[-1])
        swaps = tuple(window.result() for window in windows)
    return Timeline(tuple(answers), swaps, tuple(failures))


def _answer(runtime: Runtime, snippet: Snippet) -> Answered:
    started = time.perf_counter()
    reply = runtime.run(TASK, {"text": snippet.text}, context={"domain": snippet.domain})
    seconds = time.perf_counter() - started
    correct = reply.label == snippet.label
    runtime.feedback(reply.id, float(correct))
    return Answered(snippet.domain, reply.variant, reply.generation, correct, started, seconds)


def _swap(planned: PlannedSwap, on_swap: Callable[[SwapWindow], None]) -> SwapWindow:
    started = time.perf_counter()
    outcome = planned.action()
    window = SwapWindow(
        kind=planned.kind,
        at=planned.at,
        started=started,
        ended=time.perf_counter(),
        generation=outcome.generation if isinstance(outcome, Swapped) else None,
        note=outcome.reason if isinstance(outcome, Rejected) else "",
    )
    on_swap(window)
    return window
