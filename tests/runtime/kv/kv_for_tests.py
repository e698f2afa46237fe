"""Segments whose KV is the tokens themselves, so that a test sees whose KV it got: 8 bytes a token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.kv.store import Hit, KVStore

ENGINE = "engine"
TOKEN_BYTES = 8


def kv_of(tokens: Sequence[int], begin: int = 0, fingerprint: str = ENGINE) -> KVSegment:
    """KV of the tokens from ``begin`` on."""
    array = np.array(tokens[begin:], dtype=np.int64)
    array.flags.writeable = False
    return KVSegment(fingerprint, begin, len(array), (array,), (0,))


def store_of(*texts: Sequence[int], budget: int = 1000) -> KVStore:
    """A store with room for ``budget`` tokens that holds some sequences."""
    store = KVStore(ENGINE, budget * TOKEN_BYTES)
    for tokens in texts:
        assert store.put(tokens, kv_of(tokens))
    return store


def kv_tokens(hit: Hit) -> list[int]:
    """The tokens whose KV a hit restores."""
    assert [segment.begin for segment in hit.segments] == [0, *(segment.end for segment in hit.segments[:-1])]
    arrays = [segment.arrays[0] for segment in hit.segments]
    return [int(token) for token in np.concatenate(arrays)[: hit.length]]


def found(store: KVStore, tokens: Sequence[int]) -> list[int]:
    """The tokens whose KV ``longest`` gives."""
    hit = store.longest(tokens)
    return [] if hit is None else kv_tokens(hit)
