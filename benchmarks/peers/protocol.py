"""What the harness and a contestant's process say to each other: JSON, one line a message.

A contestant runs in an interpreter of its own, which may have nothing of ours installed: only the standard library is
imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request.

    Attributes:
        tokens: Of the text, BOS included where the model wants one.
        text: For contestants that take nothing else.
        delay: Seconds after the start at which it comes.
        priority: For contestants that know priorities; ``None`` is their default.
    """

    tokens: list[int]
    text: str
    delay: float = 0.0
    priority: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a prompt. Seconds count from the start of the whole call, for every prompt of it.

    Attributes:
        prompt_tokens: As the contestant counts them.
        cached_tokens: Prompt tokens that it did not run, because it had their KV.
        new_tokens: That it generated.
        asked: When the request was made.
        first: When its first token was there.
        last: When its last one was there.
        arrivals: Of every token, or of every piece of text where the contestant streams text.
        tokens: What was generated, where the contestant says it in tokens.
        text: Likewise, where it says it in text.
    """

    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
    asked: float
    first: float
    last: float
    arrivals: list[float]
    tokens: list[int] = field(default_factory=list)
    text: str = ""

    @classmethod
    def of_tokens(cls, prompt: Prompt, tokens: Sequence[int], arrivals: Sequence[float]) -> Answer:
        """Of a contestant that ran the whole prompt and handed out a token at a time."""
        return cls(
            prompt_tokens=len(prompt.tokens),
            cached_tokens=0,
            new_tokens=len(tokens),
            asked=0.0,
            first=arrivals[0],
            last=arrivals[-1],
            arrivals=list(arrivals),
            tokens=[int(token) for token in tokens],
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a contestant is opened with.

    Attributes:
        model: File or folder.
        threads: To compute with.
        rows: Requests at the same time.
        capacity: Tokens of the longest request, prompt and answer together.
        options: Of the contestant's own kind.
    """

    model: str
    threads: int
    rows: int
    capacity: int
    options: Options = field(default_factory=dict)


class Peer(Protocol):
    """A contestant, within its own process. Made from `Settings`."""

    def describe(self) -> dict[str, Any]:
        """Versions and settings that the figures depend on."""
        ...

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """Continue all prompts at the same time, greedily, by ``new_tokens`` each, the end-of-text token ignored."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...
