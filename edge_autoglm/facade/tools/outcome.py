"""What came of a request with tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_autoglm.values import Completion, Usage

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model made.

    Attributes:
        name: Of the tool.
        arguments: As the model wrote them, JSON values.
        result: What the model was told of the result; ``None`` where there is none.
        error: Why there is none, as the model was told; ``None`` where there is one.
        seconds: That the call took, or was waited for.
        cut: Whether the result was longer than the model was told.
        timed_out: Whether it was given up; the function may still run.
        refused: Whether it was not started, because too many others hang.
    """

    name: str
    arguments: dict[str, Any]
    result: str | None
    error: str | None
    seconds: float
    cut: bool = False
    timed_out: bool = False
    refused: bool = False

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        outcome = f"= {_short(self.result)}" if self.error is None else f"failed: {_short(self.error)}"
        return f"{self.name}({_short(arguments)}) {outcome} [{self.seconds:.2f} s]"


@dataclass(frozen=True, slots=True)
class ToolReply:
    """Answer to a request with tools.

    Attributes:
        text: The answer.
        calls: What the model called for it, in order.
        completions: What the model wrote, a round each, the answer last; ``usage.num_cached_tokens`` of each says how
            much of the conversation so far did not run again.
        finish_reason: ``eos``, or ``length`` where the answer was cut off by ``max_new_tokens``.
        generation: Number of the generation that answered.
    """

    text: str
    calls: tuple[ToolCall, ...]
    completions: tuple[Completion, ...]
    finish_reason: str
    generation: int

    @property
    def usage(self) -> Usage:
        """Tokens of all rounds together."""
        used = [completion.usage for completion in self.completions]
        return Usage(
            prompt_tokens=sum(one.prompt_tokens for one in used),
            num_cached_tokens=sum(one.num_cached_tokens for one in used),
            new_tokens=sum(one.new_tokens for one in used),
        )

    def explain(self) -> str:
        """How the answer came about, a line a call."""
        lines = [f"{number}. {call}" for number, call in enumerate(self.calls, start=1)]
        ending = "answered" if self.finish_reason == "eos" else "answered, cut off"
        return "\n".join([*lines, f"{ending} after {len(self.calls)} calls: {_short(self.text)}"])


@dataclass(frozen=True, slots=True)
class ToolStats:
    """Figures of a runtime's tools since it was opened.

    Attributes:
        requests: With tools at hand, failed ones included.
        calls: Of tools, failed ones included.
        failed: Calls that raised, timed out, were refused, or did not fit the signature.
        timed_out: Those of them that were given up.
        refused: Those of them that were not started, because too many others hang.
        cut: Results that were longer than the model was told.
        hanging: Given up, and still running at this moment.
        seconds: That calls took or were waited for.
    """

    requests: int = 0
    calls: int = 0
    failed: int = 0
    timed_out: int = 0
    refused: int = 0
    cut: int = 0
    hanging: int = 0
    seconds: float = 0.0


def _short(text: str | None) -> str:
    one_line = " ".join((text or "").split())
    return one_line if len(one_line) <= _SHOWN else f"{one_line[:_SHOWN]}..."
