from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.prefill import prefill
from edge_autoglm.runtime.prefixes import ResidentPrefixes

TOKENS = [(7 * i + i // 3) % 50 for i in range(60)]


class RecordingEngine(ScriptedEngine):
    """Remembers the length of every chunk."""

    def __init__(self) -> None:
        super().__init__(vocab_size=50)
        self.chunks: list[int] = []

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        self.chunks.extend(len(chunk.tokens) for chunk in chunks)
        return super().forward(chunks)


@pytest.mark.parametrize(
    ("length", "size", "chunks"),
    [
        (1, 8, [1]),
        (2, 2, [2]),
        (3, 2, [3]),
        (8, 8, [8]),
        (9, 8, [9]),
        (10, 8, [8, 2]),
        (17, 8, [8, 9]),
        (7, 2, [2, 2, 3]),
    ],
)
def test_no_chunk_is_a_single_token(length: int, size: int, chunks: list[int]) -> None:
    engine = RecordingEngine()
    filled = prefill(engine, 0, TOKENS[:length], ResidentPrefixes(engine.facts), size)
    assert engine.chunks == chunks
    assert engine.length(0) == length
    assert filled.num_cached_tokens == 0


@pytest.mark.parametrize("resident", [0, 1, 2, 17, 58, 59, 60])
@pytest.mark.parametrize("size", [2, 7, 64])
def test_the_logits_do_not_depend_on_chunks_or_prefixes(resident: int, size: int) -> None:
    engine = RecordingEngine()
    [expected] = engine.forward([Chunk(3, TOKENS)])
    prefixes = ResidentPrefixes(engine.facts)
    if resident:
        prefixes.add(TOKENS[:resident], engine.copy_out(3, resident))
    engine.chunks.clear()
    filled = prefill(engine, 0, TOKENS, prefixes, size)
    assert np.array_equal(filled.logits, expected[0])
    assert filled.num_cached_tokens == min(resident, 58)
    assert sum(engine.chunks) == len(TOKENS) - filled.num_cached_tokens
    assert min(engine.chunks) >= 2


def test_what_the_slot_held_before_is_gone() -> None:
    engine = RecordingEngine()
    [expected] = engine.forward([Chunk(1, TOKENS[:9])])
    engine.forward([Chunk(0, TOKENS[20:], ())])
    assert np.array_equal(prefill(engine, 0, TOKENS[:9], ResidentPrefixes(engine.facts), 64).logits, expected[0])
