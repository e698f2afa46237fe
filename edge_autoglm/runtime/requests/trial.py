"""A request that only tries the engine out: nothing is reused, nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.schedule.job import Append, Steps
from edge_autoglm.runtime.schedule.seat import Seat


def trial(tokens: Sequence[int], decode_steps: int) -> Callable[[Seat], Steps[Logits]]:
    """Prefill some tokens, then run the last one again as many times.

    Returns:
        Steps whose result are the logits ``[vocab_size]`` behind the prefill.
    """

    def steps(seat: Seat) -> Steps[Logits]:
        seat.truncate(0)
        logits = yield Append.for_last(tokens)
        for _ in range(decode_steps):
            yield Append.for_last(tokens[-1:])
        last: Logits = logits[-1]
        return last

    return steps


def observation(tokens: Sequence[int]) -> Callable[[Seat], Steps[Logits]]:
    """Prefill some tokens.

    Returns:
        Steps whose result are the logits ``[len(tokens), vocab_size]`` behind each of them.
    """

    def steps(seat: Seat) -> Steps[Logits]:
        seat.truncate(0)
        logits = yield Append(tokens, range(len(tokens)))
        return logits

    return steps
