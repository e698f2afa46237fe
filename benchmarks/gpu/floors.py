"""The least time that a step can take on a GPU, by what it has to move and by what it has to start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a model moves.

    Attributes:
        weight_bytes: Read by every step.
        kv_bytes_per_token: Keys and values of one token of one row.
    """

    weight_bytes: int
    kv_bytes_per_token: int

    def of_prefill(self, tokens: int) -> int:
        """Bytes to compute the first token behind a prompt: the weights once, and the prompt's KV, which is written."""
        return self.weight_bytes + tokens * self.kv_bytes_per_token

    def of_step(self, rows: int, prompt_tokens: int, new_tokens: int) -> float:
        """Bytes of a mean decode step: the weights once for all rows, and the KV of each row's tokens so far.

        The first of the new tokens is prefill's; the step that makes token k + 1 reads the prompt and k new tokens.
        """
        held = prompt_tokens + new_tokens / 2
        return self.weight_bytes + rows * held * self.kv_bytes_per_token


@dataclass(frozen=True, slots=True)
class Floors:
    """Of one piece of work; ``None`` is what was not measured.

    Attributes:
        nbytes: That it moves.
        bandwidth: Of the GPU's memory, in bytes a second.
        launches: Kernels, copies and fills.
        launch: Seconds that an empty one takes.
    """

    nbytes: float | None
    bandwidth: float | None
    launches: float | None
    launch: float | None

    @property
    def by_bytes(self) -> float | None:
        """Seconds to move the bytes."""
        return None if self.nbytes is None or self.bandwidth is None else self.nbytes / self.bandwidth

    @property
    def by_launches(self) -> float | None:
        """Seconds of as many empty launches, one behind the other."""
        return None if self.launches is None or self.launch is None else self.launches * self.launch

    def share(self, seconds: float) -> float | None:
        """Of the measured seconds, what the higher floor explains."""
        known = [floor for floor in (self.by_bytes, self.by_launches) if floor is not None]
        return max(known) / seconds if known else None
