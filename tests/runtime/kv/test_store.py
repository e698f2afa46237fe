from __future__ import annotations

import pytest

from edge_autoglm.errors import EngineError, MemoryBudgetExceeded
from edge_autoglm.runtime.kv.store import KVStore
from tests.runtime.kv.kv_for_tests import ENGINE, TOKEN_BYTES, found, kv_of, store_of


def tokens_held(store: KVStore) -> int:
    return store.stats.nbytes // TOKEN_BYTES


def test_two_tokens_are_left_to_run() -> None:
    store = store_of([1, 2, 3, 4])
    assert found(store, [1, 2, 3, 4]) == [1, 2]
    assert found(store, [1, 2, 3, 4, 5]) == [1, 2, 3]
    assert found(store, [1, 2, 3, 4, 5, 6]) == [1, 2, 3, 4]
    for too_short in ([1, 2], [1], []):
        assert store.longest(too_short) is None


def test_part_of_a_segment_is_used() -> None:
    hit = store_of([1, 2, 3, 4, 5, 6]).longest([1, 2, 3, 9, 9, 9])
    assert hit is not None
    assert (hit.length, hit.segments[0].length) == (3, 6)


def test_a_common_beginning_takes_memory_once() -> None:
    store = store_of([1, 2, 3, 4, 5], [1, 2, 3, 8, 9], [1, 2, 3, 8], [1, 2, 7])
    assert tokens_held(store) == 5 + 2 + 1
    assert found(store, [1, 2, 3, 8, 9, 0, 0]) == [1, 2, 3, 8, 9]
    assert found(store, [1, 2, 3, 4, 5, 0, 0]) == [1, 2, 3, 4, 5]
    assert found(store, [1, 2, 7, 0, 0]) == [1, 2, 7]


def test_the_next_turn_adds_its_own_tokens_only() -> None:
    store = store_of([1, 2, 3])
    turn = [1, 2, 3, 4, 5]
    assert store.covered(turn) == 3
    assert store.put(turn, kv_of(turn, begin=3))
    assert store.covered(turn) == 5
    assert (tokens_held(store), store.stats.segments) == (5, 2)


def test_a_segment_that_is_split_is_not_kept_alive_as_a_whole() -> None:
    store = store_of([1, 2, 3, 4, 5, 6])
    store.put([1, 2, 9], kv_of([1, 2, 9]))
    for prompt in ([1, 2, 3, 4, 5, 6, 0, 0], [1, 2, 9, 0, 0]):
        hit = store.longest(prompt)
        assert hit is not None
        assert [segment.arrays[0].base for segment in hit.segments] == [None, None]
        assert not any(segment.arrays[0].flags.writeable for segment in hit.segments)


def test_the_least_recently_used_gives_way() -> None:
    store = store_of([1, 1, 1], [2, 2, 2], [3, 3, 3], budget=9)
    store.longest([1, 1, 1, 0, 0])
    store.put([4, 4], kv_of([4, 4]))
    assert [store.covered([token] * 3) for token in (1, 2, 3, 4)] == [3, 0, 3, 2]
    assert (store.stats.evictions, store.stats.evicted_tokens) == (1, 3)


def test_to_ask_what_is_covered_is_no_use() -> None:
    store = store_of([1, 1], [2, 2], budget=4)
    store.covered([1, 1])
    store.put([3], kv_of([3]))
    assert [store.covered([token] * 2) for token in (1, 2)] == [0, 2]
    assert store.stats.lookups == 0


def test_a_beginning_outlives_what_continues_it() -> None:
    """The common beginning is as recent as the last use of any continuation."""
    store = store_of([1, 2, 3, 4], [1, 2, 5, 6], [9, 9], budget=8)
    store.longest([1, 2, 5, 6, 0, 0])
    store.put([7, 7, 7, 7], kv_of([7, 7, 7, 7]))
    assert [store.covered(tokens) for tokens in ([1, 2, 3, 4], [1, 2, 5, 6], [9, 9])] == [2, 4, 0]


def test_what_an_entry_continues_is_not_evicted_for_it() -> None:
    store = store_of([1, 2, 3], [8, 8, 8], budget=6)
    turn = [1, 2, 3, 4, 5, 6]
    assert store.put(turn, kv_of(turn, begin=3))
    assert (store.covered(turn), store.covered([8])) == (6, 0)


def test_an_entry_beyond_the_budget_is_not_kept_and_evicts_nothing() -> None:
    store = store_of([1, 2, 3], [4, 4], budget=6)
    assert not store.put([7] * 7, kv_of([7] * 7))
    pin = store.pin([4, 4])
    assert not store.put([1, 2, 3, 5, 6], kv_of([1, 2, 3, 5, 6]))
    assert (tokens_held(store), store.stats.evictions) == (5, 0)
    pin.release()
    assert store.put([1, 2, 3, 5, 6], kv_of([1, 2, 3, 5, 6]))


def test_an_entry_whose_beginning_was_evicted_is_not_kept() -> None:
    store = store_of()
    for begin in (1, 2, 3):
        assert not store.put([1, 2, 3], kv_of([1, 2, 3], begin))
    with pytest.raises(EngineError, match="first 0"):
        store.put_pinned([1, 2, 3], kv_of([1, 2, 3], begin=2))
    assert tokens_held(store) == 0


@pytest.mark.parametrize("method", ["put", "put_pinned"])
def test_kv_of_another_engine_or_of_too_few_tokens_is_refused(method: str) -> None:
    store = store_of()
    with pytest.raises(EngineError, match="other"):
        getattr(store, method)([1, 2], kv_of([1, 2], fingerprint="other"))
    with pytest.raises(EngineError, match="3 tokens"):
        getattr(store, method)([1, 2, 3], kv_of([1, 2]))
    assert tokens_held(store) == 0


def test_what_is_pinned_stays() -> None:
    store = store_of([1, 2, 3, 4], [1, 2, 5], budget=7)
    pin = store.pin([1, 2, 3])
    assert store.stats.pinned_bytes == 3 * TOKEN_BYTES
    store.put([9] * 4, kv_of([9] * 4))
    assert [store.covered(tokens) for tokens in ([1, 2, 3, 4], [1, 2, 5])] == [3, 2]
    pin.release()
    assert store.stats.pinned_bytes == 0
    store.put([8] * 7, kv_of([8] * 7))
    assert store.covered([1, 2, 3]) == 0


def test_pins_nest_and_share() -> None:
    store = store_of([1, 2, 3, 4], [1, 2, 5])
    outer, inner, again = store.pin([1, 2]), store.pin([1, 2, 3, 4]), store.pin([1, 2])
    assert store.stats.pinned_bytes == 4 * TOKEN_BYTES
    outer.release()
    outer.release()
    again.release()
    assert store.stats.pinned_bytes == 4 * TOKEN_BYTES
    inner.release()
    assert store.stats.pinned_bytes == 0
    assert tokens_held(store) == 5


def test_a_pin_holds_where_its_segment_is_split_later() -> None:
    store = store_of([1, 2, 3, 4], budget=8)
    pin = store.pin([1, 2, 3, 4])
    store.put([1, 2, 9], kv_of([1, 2, 9]))
    store.put([8] * 4, kv_of([8] * 4))
    assert (store.covered([1, 2, 3, 4]), store.covered([1, 2, 9])) == (4, 2)
    assert store.stats.pinned_bytes == 4 * TOKEN_BYTES
    pin.release()
    assert store.stats.pinned_bytes == 0


def test_only_what_is_held_can_be_pinned() -> None:
    store = store_of([1, 2])
    with pytest.raises(EngineError, match=r"3 tokens .* first 2 only"):
        store.pin([1, 2, 3])
    assert store.stats.pinned_bytes == 0


def test_pinned_kv_beyond_the_budget_says_how_much_is_missing() -> None:
    store = store_of([5, 5], budget=6)
    pins = [store.put_pinned([1, 2, 3], kv_of([1, 2, 3]))]
    with pytest.raises(MemoryBudgetExceeded, match=r"needs 32 bytes more than the 24 that are pinned.* 48") as refused:
        store.put_pinned([1, 2, 3, 4, 5, 6, 7], kv_of([1, 2, 3, 4, 5, 6, 7]))
    assert "Raise" in refused.value.cure
    assert (store.covered([5, 5]), store.stats.evictions) == (2, 0)
    pins.append(store.put_pinned([1, 2, 3, 4, 5, 6], kv_of([1, 2, 3, 4, 5, 6], begin=3)))
    assert store.stats.pinned_bytes == store.stats.nbytes == store.stats.budget_bytes
    for pin in pins:
        pin.release()
    assert store.stats.pinned_bytes == 0


def test_look_ups_are_counted_in_tokens_really_skipped() -> None:
    store = store_of([1, 2, 3, 4])
    for prompt in ([1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [9, 9, 9], [1]):
        store.longest(prompt)
    stats = store.stats
    assert (stats.lookups, stats.hits, stats.tokens_looked_up, stats.tokens_skipped) == (4, 2, 15, 2 + 4)


def test_a_store_without_a_budget_keeps_nothing() -> None:
    store = KVStore(ENGINE, 0)
    assert not store.put([1], kv_of([1]))
    with pytest.raises(MemoryBudgetExceeded):
        store.put_pinned([1], kv_of([1]))
    with pytest.raises(EngineError, match="-1"):
        KVStore(ENGINE, -1)


def test_no_tokens_are_always_held() -> None:
    store = store_of()
    assert store.put([], kv_of([]))
    store.put_pinned([], kv_of([])).release()
    assert store.stats.segments == 0
