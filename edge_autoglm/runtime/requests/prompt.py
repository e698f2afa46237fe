"""Into a slot goes what is held of a prompt; the rest is for the request to run."""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.kv.virtual_tokens import check_held
from edge_autoglm.runtime.schedule.seat import Seat


def restore(seat: Seat, kv: KVStore, tokens: Sequence[int]) -> int:
    """Replace the slot's content by the longest beginning of a prompt that the store holds.

    Returns:
        Its tokens: prompt tokens that need not run.

    Raises:
        EngineError: The prompt begins with a soft prompt whose KV is not held.
    """
    hit = kv.longest(tokens)
    check_held(tokens, 0 if hit is None else hit.length)
    if hit is None:
        seat.truncate(0)
        return 0
    seat.copy_in(hit.segments, hit.length)
    return hit.length


def keep(seat: Seat, kv: KVStore, tokens: Sequence[int]) -> None:
    """Leave the KV of the slot's first tokens to later requests that begin alike, if the budget has room for it."""
    held = kv.covered(tokens)
    if held < len(tokens):
        kv.put(tokens, seat.copy_out(held, len(tokens)))
