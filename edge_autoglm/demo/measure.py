"""Figures that the demo takes after the run: every variant alone, first token, throughput, memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_autoglm import Completion, Runtime
from edge_autoglm.demo.session import TASK
from edge_autoglm.demo.snippets import Snippet

_DECODED = 64
_DECODE_PROMPT = "Once upon a time, in a small village by the sea, there lived"


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Time to the first token of the same prompts, with and without the resident prefix; seconds, medians.

    Attributes:
        prompt_tokens: Median length of the prompts.
        cached_tokens: Tokens of them that were resident.
        resident: With the prefix in place.
        cold: Everything prefilled.
    """

    prompt_tokens: int
    cached_tokens: int
    resident: float
    cold: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """Everything measured after the run.

    Attributes:
        alone: Accuracy of each variant alone.
        first_token: With and without the resident prefix.
        decode_speed: New tokens a second.
        peak_memory: Bytes; ``None`` where the system does not say.
    """

    alone: Mapping[str, float]
    first_token: FirstToken
    decode_speed: float
    peak_memory: int | None


def accuracy_alone(runtime: Runtime, variant: str, snippets: Sequence[Snippet], on_answer: Callable[[], None]) -> float:
    """Share of correct labels when one variant answers everything; no feedback is given."""
    correct = 0
    for snippet in snippets:
        correct += runtime.run(TASK, {"text": snippet.text}, variant=variant).label == snippet.label
        on_answer()
    return correct / len(snippets)


def measure_first_token(runtime: Runtime, prefix: str, rests: Sequence[str]) -> FirstToken:
    """Prompts that begin with a resident prefix, each beside a twin whose first word differs, so that nothing of it is.

    The twins alternate, so that both sides see the same load of the machine.
    """
    resident: list[Completion] = []
    cold: list[Completion] = []
    for number, rest in enumerate(rests):
        resident.append(runtime.generate(prefix + rest, max_new_tokens=1))
        cold.append(runtime.generate(f"{number} {prefix}{rest}", max_new_tokens=1))
    return FirstToken(
        prompt_tokens=round(statistics.median(reply.usage.prompt_tokens for reply in resident)),
        cached_tokens=round(statistics.median(reply.usage.num_cached_tokens for reply in resident)),
        resident=statistics.median(reply.timings.ttft for reply in resident),
        cold=statistics.median(reply.timings.ttft for reply in cold),
    )


def measure_decode_speed(runtime: Runtime, repeats: int = 3) -> float:
    """New tokens a second after the first one; median."""
    speeds = []
    for _ in range(repeats):
        reply = runtime.generate(_DECODE_PROMPT, max_new_tokens=_DECODED)
        speeds.append((reply.usage.new_tokens - 1) / (reply.timings.total - reply.timings.ttft))
    return statistics.median(speeds)
