"""Prompt into a slot: resident prefix first, then the rest chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.prefixes import ResidentPrefixes

MIN_CHUNK = 2
"""A chunk of one token would be a decode step, which may round differently (see ``runtime/engine.py``)."""


@dataclass(frozen=True, slots=True)
class Prefilled:
    """A slot that holds a prompt.

    Attributes:
        logits: ``[vocab_size]``, behind the last token.
        num_cached_tokens: Tokens that came from a resident prefix.
    """

    logits: Logits
    num_cached_tokens: int


def prefill(engine: Engine, slot: int, tokens: Sequence[int], prefixes: ResidentPrefixes, chunk: int) -> Prefilled:
    """Replace the slot's content by a prompt.

    Every chunk is a ``forward`` call of its own, so that other requests take their turn in between.

    Args:
        engine: Owner of the slot.
        slot: In nobody else's use.
        tokens: At least one.
        prefixes: Searched for the longest beginning.
        chunk: Tokens a call, give or take one.
    """
    cached = _restore(engine, slot, tokens, prefixes)
    *chunks, last = _chunks(tokens[cached:], chunk)
    for part in chunks:
        engine.forward([Chunk(slot, part, ())])
    [logits] = engine.forward([Chunk(slot, last)])
    return Prefilled(logits[-1], cached)


def _restore(engine: Engine, slot: int, tokens: Sequence[int], prefixes: ResidentPrefixes) -> int:
    found = prefixes.longest(tokens)
    if found is None:
        engine.truncate(slot, 0)
        return 0
    prefix, length = found
    engine.copy_in(slot, prefix, length)
    return length


def _chunks(tokens: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Parts of ``size`` tokens; the last one takes one more rather than leave a single token."""
    begin = 0
    while begin < len(tokens):
        end = begin + size
        if len(tokens) - end < MIN_CHUNK:
            end = len(tokens)
        yield tokens[begin:end]
        begin = end
