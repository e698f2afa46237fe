"""Where the guard meets requests of tasks: refuses, cleans and counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from edge_autoglm.errors import InputRejected, OutputRejected
from edge_autoglm.facade.asked import Asked
from edge_autoglm.prompts import Task
from edge_autoglm.prompts.guard.answers import judge_answer, judge_part, window_size
from edge_autoglm.prompts.guard.reasons import EXPLANATIONS, Reason, Refusal
from edge_autoglm.prompts.guard.rules import OutputRules
from edge_autoglm.prompts.guard.screening import screen
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import Reply

Side = Literal["input", "output"]
Outcome = Literal["refused", "dropped", "flagged"]


@dataclass(frozen=True, slots=True)
class GuardCount:
    """How often the guard found something.

    Attributes:
        task: Of the requests.
        side: Whether in an input or in an answer.
        outcome: ``refused``; ``dropped``: the characters were taken out; ``flagged``: nothing was changed.
        reason: What it was.
        count: Requests, each counted once.
        explanation: The reason in words.
    """

    task: str
    side: Side
    outcome: Outcome
    reason: str
    count: int
    explanation: str


@dataclass(frozen=True, slots=True)
class GuardStats:
    """What the guard did since the runtime was opened.

    Attributes:
        inputs: Requests that were looked at.
        answers: Text answers that were.
        counts: What was found, by task and reason.
    """

    inputs: int = 0
    answers: int = 0
    counts: tuple[GuardCount, ...] = ()

    @property
    def refused(self) -> dict[tuple[str, str], int]:
        """Refusals by task and reason, of inputs and answers together."""
        found: Counter[tuple[str, str]] = Counter()
        for one in self.counts:
            if one.outcome == "refused":
                found[one.task, one.reason] += one.count
        return dict(found)


class Guard:
    """One a runtime. Thread-safe; its rules are those of each request's own task."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at: Counter[Side] = Counter()
        self._found: Counter[tuple[str, Side, Outcome, Reason]] = Counter()

    @property
    def stats(self) -> GuardStats:
        """A consistent snapshot."""
        with self._lock:
            inputs, answers, found = self._looked_at["input"], self._looked_at["output"], dict(self._found)
        counts = [
            GuardCount(task, side, outcome, reason.value, count, EXPLANATIONS[reason])
            for (task, side, outcome, reason), count in found.items()
        ]
        counts.sort(key=lambda one: (one.task, one.side, one.outcome, one.reason))
        return GuardStats(inputs, answers, tuple(counts))

    def admit(self, asked: Asked, task: Task, tokenizer: Tokenizer) -> Asked:
        """The request as it is let through; the very same object unless characters are dropped.

        Args:
            asked: The request.
            task: That it asks for.
            tokenizer: Of the model that will answer: knows what its special tokens look like.

        Raises:
            InputRejected: It is refused.
        """
        screened = screen(task, asked.inputs)
        if screened.refusal is not None:
            self._count(task, "input", "refused", [screened.refusal.reason])
            raise InputRejected(screened.refusal.cause, screened.refusal.cure)
        flagged = list(screened.flagged)
        if any(map(tokenizer.count_markers, screened.inputs.values())):
            flagged.append(Reason.MARKER)
        self._count(task, "input", "flagged", flagged, screened.dropped)
        return replace(asked, inputs=screened.inputs) if screened.dropped else asked

    def release(self, reply: Reply, task: Task, tokenizer: Tokenizer) -> Reply:
        """The reply, if its answer may be given.

        Raises:
            OutputRejected: It may not.
        """
        if reply.label is None:
            AnswerCheck(self, task, tokenizer, reply.id).whole(reply.text)
        return reply

    def judged(self, task: Task, refusal: Refusal | None, decision: str) -> None:
        """Count an answer; tasks without rules for their answers refuse none.

        Raises:
            OutputRejected: The answer is refused.
        """
        refused = refusal is not None and task.guard.output is not None
        self._count(task, "output", "refused" if refused else "flagged", [] if refusal is None else [refusal.reason])
        if refusal is not None and refused:
            raise OutputRejected(f"task {task.name}: {refusal.cause}", refusal.cure, decision)

    def _count(
        self, task: Task, side: Side, outcome: Outcome, found: Iterable[Reason], dropped: Iterable[Reason] = ()
    ) -> None:
        with self._lock:
            self._looked_at[side] += 1
            self._found.update((task.name, side, outcome, reason) for reason in found)
            self._found.update((task.name, side, "dropped", reason) for reason in dropped)


class AnswerCheck:
    """Looks at the answer to one request: at once, or as it comes.

    Args:
        guard: Counts.
        task: That was asked for.
        tokenizer: Of the model that answers.
        decision: Of the request.
    """

    def __init__(self, guard: Guard, task: Task, tokenizer: Tokenizer, decision: str) -> None:
        self._guard = guard
        self._task = task
        self._tokenizer = tokenizer
        self._decision = decision
        self._rules = task.guard.output or OutputRules()
        self._tail = ""
        self._so_far = 0

    def whole(self, text: str) -> None:
        """Judge a whole answer.

        Raises:
            OutputRejected: It is refused.
        """
        refusal = judge_answer(text, self._rules, self._tokenizer.count_markers)
        self._guard.judged(self._task, refusal, self._decision)

    def part(self, piece: str) -> None:
        """Judge an answer as far as it has come; one that is not refused is counted by ``whole`` only.

        Raises:
            OutputRejected: It is refused already, whatever follows.
        """
        if self._task.guard.output is None:
            return
        window = self._tail + piece
        self._so_far += len(piece)
        refusal = judge_part(window, self._so_far, self._rules)
        if refusal is not None:
            self._guard.judged(self._task, refusal, self._decision)
        size = window_size(self._rules)
        self._tail = window[-size:] if size else ""
