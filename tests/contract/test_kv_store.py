"""What a store or a pack gave back never changes a bit, on any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.kv.pack_format import PackKey
from edge_autoglm.runtime.kv.packs import load_pack, save_pack
from edge_autoglm.runtime.kv.store import KVStore

RNG = np.random.default_rng(9)
SHARED, ONE, OTHER = ([int(token) for token in RNG.integers(3, 300, size=size)] for size in (20, 25, 30))
MEGABYTE = 2**20


def fresh(engine: Engine, slot: int, tokens: list[int]) -> Logits:
    """Logits at every position of a prompt that runs whole."""
    engine.truncate(slot, 0)
    [logits] = engine.forward([Chunk(slot, tokens, range(len(tokens)))])
    return logits


def restored(engine: Engine, slot: int, tokens: list[int], store: KVStore) -> tuple[int, Logits]:
    """Tokens skipped, and the logits at all later positions."""
    hit = store.longest(tokens)
    assert hit is not None
    engine.copy_in(slot, hit.segments, hit.length)
    rest = tokens[hit.length :]
    [logits] = engine.forward([Chunk(slot, rest, range(len(rest)))])
    return hit.length, logits


def test_shared_beginnings_and_further_turns_equal_fresh_prompts(engine_factory: Any) -> None:
    engine = engine_factory()
    store = KVStore(engine.facts.fingerprint, MEGABYTE)
    one, other = [*SHARED, *ONE], [*SHARED, *OTHER]
    expected_other, expected_one = fresh(engine, 1, other), fresh(engine, 0, one)
    assert store.put(one[:40], engine.copy_out(0, 0, 40))
    assert store.put(one, engine.copy_out(0, 40, 45))
    assert restored(engine, 2, other, store)[0] == 20
    assert store.put(other, engine.copy_out(2, store.covered(other), 50))
    for tokens, expected in ((one, expected_one), (other, expected_other)):
        skipped, logits = restored(engine, 3, tokens, store)
        assert skipped == len(tokens) - 2
        assert np.array_equal(logits, expected[skipped:])


def test_a_pack_gives_another_engine_of_the_model_the_same_bits(engine_factory: Any, tmp_path: Path) -> None:
    engine = engine_factory()
    fingerprint = engine.facts.fingerprint
    key = PackKey(fingerprint, "tokenizer", "kv", "build")
    one, other = [*SHARED, *ONE], [*SHARED, *OTHER]
    expected = [fresh(engine, 0, one), fresh(engine, 1, other)]
    store = KVStore(fingerprint, MEGABYTE)
    store.put_pinned(one[:30], engine.copy_out(0, 0, 30))
    store.put_pinned(other[:35], engine.copy_out(1, 20, 35))
    save_pack(tmp_path / "pack", key, store)
    restarted, fresh_store = engine_factory(slots=2, capacity=50), KVStore(fingerprint, MEGABYTE)
    assert load_pack(tmp_path / "pack", key, fresh_store).restored_tokens == 20 + 10 + 15
    for slot, (tokens, length) in enumerate([(one, 30), (other, 35)]):
        skipped, logits = restored(restarted, slot, tokens, fresh_store)
        assert skipped == length
        assert np.array_equal(logits, expected[slot][length:])
