from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.kv.store import MIN_REST, KVStore, Pin
from tests.runtime.kv.kv_for_tests import ENGINE, TOKEN_BYTES, found, kv_of

BUDGET = 60
THREADS, ROUNDS = 6, 400


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_threads_do_not_disturb_each_other() -> None:
    store = KVStore(ENGINE, BUDGET * TOKEN_BYTES)
    with ThreadPoolExecutor(THREADS) as pool:
        seen = [
            tokens
            for texts in pool.map(lambda seed: use(store, random.Random(seed)), range(THREADS))
            for tokens in texts
        ]
    stats = store.stats
    held = {tokens[:n] for tokens in seen for n in range(1, store.covered(tokens) + 1)}
    assert (stats.nbytes, stats.pinned_bytes) == (len(held) * TOKEN_BYTES, 0)
    assert stats.lookups == THREADS * ROUNDS
    assert stats.evictions > 100  # there was something to disturb


def use(store: KVStore, rng: random.Random) -> list[tuple[int, ...]]:
    """Put, look up, pin and release; what is found is right, and what is pinned by this thread stays."""
    seen = []
    pins: list[tuple[tuple[int, ...], Pin]] = []
    for _ in range(ROUNDS):
        tokens = tuple(rng.choices(range(3), k=rng.randrange(1, 12)))
        store.put(tokens, kv_of(tokens, rng.randrange(store.covered(tokens) + 1)))
        seen.append(tokens)
        skipped = found(store, tokens)
        assert skipped == list(tokens[: len(skipped)])
        assert len(skipped) <= max(len(tokens) - MIN_REST, 0)
        if rng.random() < 0.3:
            try:
                pins.append((tokens, store.pin(tokens)))
            except EngineError:  # evicted by another thread meanwhile
                continue
        if len(pins) > 1:
            pins.pop(rng.randrange(2))[1].release()
        assert all(store.covered(pinned) == len(pinned) for pinned, _ in pins)
        assert store.stats.nbytes <= BUDGET * TOKEN_BYTES
    for _, pin in pins:
        pin.release()
    return seen


def test_a_pin_is_released_once_by_however_many_threads() -> None:
    store = KVStore(ENGINE, 1000)
    for _ in range(50):
        pins = [store.put_pinned([1, 2, 3], kv_of([1, 2, 3])) for _ in range(2)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _, pin=pins[0]: pin.release(), range(8)))
        assert store.stats.pinned_bytes == 3 * TOKEN_BYTES
        pins[1].release()
        assert store.stats.pinned_bytes == 0
