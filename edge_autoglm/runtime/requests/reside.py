"""Requests that leave the KV of a prompt's beginning behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_autoglm.runtime.kv.store import KVStore, Pin
from edge_autoglm.runtime.requests.prompt import keep, restore
from edge_autoglm.runtime.schedule.job import Append, Steps
from edge_autoglm.runtime.schedule.seat import Seat


def residency(kv: KVStore, tokens: Sequence[int]) -> Callable[[Seat], Steps[tuple[Pin, int]]]:
    """Compute what the store does not hold of some tokens, and pin them.

    Returns:
        Steps whose result is the pin, and how many tokens had to run.
    """

    def steps(seat: Seat) -> Steps[tuple[Pin, int]]:
        cached = restore(seat, kv, tokens)
        yield Append(tokens[cached:], ())
        return kv.put_pinned(tokens, seat.copy_out(0, len(tokens))), len(tokens) - cached

    return steps


def prefilled(kv: KVStore, tokens: Sequence[int]) -> Callable[[Seat], Steps[None]]:
    """Compute what the store does not hold of a prompt that several requests will bring, and leave it there."""

    def steps(seat: Seat) -> Steps[None]:
        cached = restore(seat, kv, tokens)
        yield Append(tokens[cached:], ())
        keep(seat, kv, tokens)

    return steps
