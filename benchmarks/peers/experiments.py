"""What is measured: the cases of each experiment, and who takes part by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers.lineup import ENTRIES, OWN
from benchmarks.peers.prompts import PromptSource
from benchmarks.peers.protocol import Prompt
from benchmarks.peers.rounds import Case

SHARED_PREFIX = 200
CRITICAL = "critical"
_SINGLE_PROMPT, _SCALE_NEW_TOKENS = 250, 48
_LOAD_ROWS, _LOAD_PROMPT = 16, 260
_CRITICAL_PROMPT, _CRITICAL_COUNT, _CRITICAL_EVERY = 60, 8, 0.4
_LENGTHS = (128, 256, 512, 1024, 2048, 4096)
_ROWS = (1, 2, 4, 8, 16)
_ROWS_PROMPT = 64


@dataclass(frozen=True, slots=True)
class Experiment:
    """A campaign under a name of its own.

    Attributes:
        title: Heading on the page.
        cases: From where prompts come, and the new tokens of a request, to what is measured.
        new_tokens: By default.
        rounds: By default.
        names: Who takes part by default.
        memory: Whether the memory's speed is measured too.
    """

    title: str
    cases: Callable[[PromptSource, int], list[Case]]
    new_tokens: int
    rounds: int
    names: tuple[str, ...]
    memory: bool = False


def fresh(source: PromptSource, length: int, count: int = 1) -> Callable[[], list[Prompt]]:
    """Prompts that share nothing, other ones each round."""
    return lambda: [source.take(length) for _ in range(count)]


def sharing(source: PromptSource, length: int, count: int) -> Callable[[], list[Prompt]]:
    """Prompts that begin with the same tokens in all rounds, and go on differently."""
    prefix = source.take(SHARED_PREFIX).tokens
    return lambda: [source.take(length, prefix) for _ in range(count)]


def single(source: PromptSource, new_tokens: int) -> list[Case]:
    """One request at a time."""
    return [Case("single", fresh(source, _SINGLE_PROMPT), new_tokens)]


def concurrent(source: PromptSource, new_tokens: int) -> list[Case]:
    """Many requests at once, with nothing and with much in common, and one alone."""
    return [
        Case("alone", fresh(source, _LOAD_PROMPT), new_tokens),
        Case("nothing shared", fresh(source, _LOAD_PROMPT, _LOAD_ROWS), new_tokens, _LOAD_ROWS),
        Case("prefix shared", sharing(source, _LOAD_PROMPT, _LOAD_ROWS), new_tokens, _LOAD_ROWS),
    ]


def critical(source: PromptSource, new_tokens: int) -> list[Case]:
    """Requests that must not wait, on an idle machine and among many that may."""
    short = fresh(source, _CRITICAL_PROMPT, _CRITICAL_COUNT)
    load = fresh(source, _LOAD_PROMPT, _LOAD_ROWS)

    def urgent() -> list[Prompt]:
        return [
            dataclasses.replace(prompt, priority=CRITICAL, delay=(number + 1) * _CRITICAL_EVERY)
            for number, prompt in enumerate(short())
        ]

    return [
        Case("idle", urgent, new_tokens, _CRITICAL_COUNT),
        Case("under load", lambda: load() + urgent(), new_tokens, _LOAD_ROWS + _CRITICAL_COUNT),
    ]


def lengths(source: PromptSource, new_tokens: int) -> list[Case]:
    """One request, longer and longer."""
    return [Case(str(length), fresh(source, length), new_tokens) for length in _LENGTHS]


def rows(source: PromptSource, new_tokens: int) -> list[Case]:
    """More and more short requests at once."""
    return [Case(str(count), fresh(source, _ROWS_PROMPT, count), new_tokens, count) for count in _ROWS]


_BATCHING = "OpenVINO batching Q8_0"
_ONE_BY_ONE = tuple(entry.name for entry in ENTRIES if not entry.options.get("batching"))
# A CPU without bfloat16 instructions takes half a minute for one request of that size.
_WITHOUT_BFLOAT16 = tuple(name for name in _ONE_BY_ONE if name != "transformers bfloat16")
_OWN = tuple(entry.name for entry in ENTRIES if entry.kind == OWN)
_AT_8_BITS = (*_OWN, "llama.cpp Q8_0", "onnxruntime-genai int8")

EXPERIMENTS = {
    "single": Experiment("One request at a time", single, 64, 10, _ONE_BY_ONE, memory=True),
    "scale": Experiment(
        "At scale: seeded random weights", single, _SCALE_NEW_TOKENS, 6, _WITHOUT_BFLOAT16, memory=True
    ),
    "concurrent": Experiment("Sixteen requests at once", concurrent, 40, 3, (*_AT_8_BITS, _BATCHING)),
    "critical": Experiment("A critical request among sixteen others", critical, 40, 8, _OWN),
    "lengths": Experiment("Cost by prompt length", lengths, 16, 3, (*_OWN, "llama.cpp Q8_0", "OpenVINO Q8_0")),
    "rows": Experiment("Cost by rows", rows, 32, 5, (*_AT_8_BITS, _BATCHING)),
}
"""By the name on the command line."""
