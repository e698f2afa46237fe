"""What a benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """Size and number of the requests; the defaults take half a minute on a small model.

    Attributes:
        prompt_tokens: Length of every prompt.
        new_tokens: Length of every answer, if the model does not end it earlier.
        repeat: Measured rounds.
        warmup: Rounds before them, which are recorded but not part of the figures.
        concurrency: Requests of a round, all asked at once from threads of their own.
        threads: Of an engine on the CPU; ``None`` takes what the system grants.
        device: Where to run it; see `Runtime.open`.
        seed: Of the choice of prompts.

    Raises:
        RequestError: A value is out of range.
    """

    prompt_tokens: int = 256
    new_tokens: int = 128
    repeat: int = 5
    warmup: int = 1
    concurrency: int = 1
    threads: int | None = None
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "new_tokens", "repeat", "concurrency", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"{name.replace('_', ' ')} is {value}", "Give 1 or more.")
        if self.warmup < 0:
            raise RequestError(f"warmup is {self.warmup}", "Give 0 or more rounds.")

    @property
    def rounds(self) -> int:
        """Rounds in all."""
        return self.warmup + self.repeat

    @property
    def tokens(self) -> int:
        """Length of a prompt with its answer."""
        return self.prompt_tokens + self.new_tokens
