from __future__ import annotations

import math
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import RequestError
from edge_autoglm.facade.response_cache import CacheKey, CacheStats, ResponseCache, held_bytes

ENTRY = 320
"""What an entry costs besides its value."""


def a_key(cache: ResponseCache, number: int, generation: int = 1) -> CacheKey:
    return cache.key(generation, "run", number)


def test_an_answer_is_found_again_for_its_own_generation_only() -> None:
    cache = ResponseCache(10_000)
    for generation in (1, 2):
        cache.put(cache.key(generation, "run", "sentiment", {"text": "fine"}), f"by {generation}", 10)
    asked = [cache.key(generation, "run", "sentiment", {"text": "fine"}) for generation in (1, 2, 3)]
    assert [cache.get(key) for key in asked] == ["by 1", "by 2", None]
    assert cache.stats == CacheStats(hits=2, misses=1, evictions=0, entries=2, nbytes=2 * (10 + ENTRY))


operations = st.one_of(
    st.tuples(st.just("get"), st.integers(0, 3), st.integers(1, 2)),
    st.tuples(st.just("put"), st.integers(0, 3), st.integers(1, 2), st.integers(0, 500)),
)


@given(st.integers(0, 2500), st.lists(operations, max_size=60))
def test_it_is_a_least_recently_used_cache_of_bytes(budget: int, steps: list[tuple[object, ...]]) -> None:
    cache = ResponseCache(budget)
    model: list[tuple[CacheKey, object, int]] = []  # the least recently used one first
    evictions = 0
    for step, (action, *rest) in enumerate(steps):
        key = cache.key(int(str(rest[1])), "run", rest[0])
        held = [entry for entry in model if entry[0] == key]
        others = [entry for entry in model if entry[0] != key]
        if action == "get":
            assert cache.get(key) == (held[0][1] if held else None)
            model = others + held
        else:
            nbytes = int(str(rest[2]))
            cache.put(key, f"answer {step}", nbytes)
            model = [*others, (key, f"answer {step}", nbytes + ENTRY)]
            if nbytes + ENTRY > budget:
                model = others
            while sum(entry[2] for entry in model) > budget:
                model.pop(0)
                evictions += 1
        assert cache.stats.entries == len(model)
        assert cache.stats.nbytes == sum(entry[2] for entry in model) <= budget
        assert cache.stats.evictions == evictions
    assert [cache.get(key) for key, _, _ in model] == [value for _, value, _ in model]


def test_what_was_asked_for_outlives_what_was_not() -> None:
    cache = ResponseCache(2 * ENTRY)
    cache.put(a_key(cache, 1), "asked for", 0)
    cache.put(a_key(cache, 2), "not asked for", 0)
    cache.get(a_key(cache, 1))
    cache.put(a_key(cache, 3), "new", 0)
    assert [cache.get(a_key(cache, number)) for number in (1, 2, 3)] == ["asked for", None, "new"]
    assert cache.stats.evictions == 1


def test_a_budget_of_nothing_turns_it_off() -> None:
    cache = ResponseCache(0)
    cache.put(a_key(cache, 1), "answer", 0)
    assert cache.get(a_key(cache, 1)) is None
    assert not cache.enabled
    assert ResponseCache(1).enabled


def test_an_answer_larger_than_the_budget_displaces_nothing_but_its_old_self() -> None:
    cache = ResponseCache(2 * ENTRY)
    cache.put(a_key(cache, 1), "old", 0)
    cache.put(a_key(cache, 2), "other", 0)
    cache.put(a_key(cache, 1), "new", 3 * ENTRY)
    assert cache.get(a_key(cache, 1)) is None
    assert cache.get(a_key(cache, 2)) == "other"
    assert cache.stats.evictions == 0


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(RequestError, match="budget is -1 bytes"):
        ResponseCache(-1)


@dataclass(frozen=True)
class Settings:
    top_k: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class OtherSettings:
    top_k: int = 0
    stop: tuple[str, ...] = ()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-300, 300),
    st.floats(allow_nan=False),
    st.text(st.characters(), max_size=4),
    st.binary(max_size=4),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3),
        st.builds(Settings, st.integers(0, 2), st.lists(st.text(max_size=2), max_size=2).map(tuple)),
    ),
    max_leaves=8,
)
CACHE = ResponseCache(0)


def typed(value: object) -> object:
    """A value that compares equal only to those of the same types, order and content."""
    if isinstance(value, Mapping):
        return "mapping", [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, tuple):
        return "sequence", [typed(item) for item in value]
    if isinstance(value, float):
        return "float", value, math.copysign(1.0, value)
    return type(value).__name__, value


@given(values, values)
def test_requests_share_a_key_exactly_if_they_are_equal(first: object, second: object) -> None:
    assert (CACHE.key(1, "run", first) == CACHE.key(1, "run", second)) == (typed(first) == typed(second))
    assert CACHE.key(1, "run", first, second) != CACHE.key(1, "run", (first, second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a", ("b",)), ("a", "b")),
        ((("a",), "b"), (("a", "b"),)),
        ((), ("",)),
        ({"a": "b"}, ("a", "b")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "a"}, {"1": "a"}),
        (True, 1),
        (1, "1"),
        (None, "None"),
        ("a", b"a"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ud83d", "?"),
        ("\ud83d", "\ud83e"),
        (Settings(), OtherSettings()),
        (Settings(1), Settings(2)),
    ],
)
def test_look_alikes_have_keys_of_their_own(first: object, second: object) -> None:
    assert CACHE.key(1, "run", first) != CACHE.key(1, "run", second)


def test_equal_requests_of_other_types_share_a_key() -> None:
    wanted = CACHE.key(1, "generate", [{"role": "user", "content": "hi"}], 3, 0.5)
    assert CACHE.key(1, "generate", (MappingProxyType({"role": "user", "content": "hi"}),), 3, 0.5) == wanted
    assert CACHE.key(1, "generate", [{"role": "user", "content": "hi"}], np.int64(3), np.float32(0.5)) == wanted


def test_generation_and_kind_are_part_of_the_key() -> None:
    assert len({CACHE.key(1, "run", "x"), CACHE.key(2, "run", "x"), CACHE.key(1, "score", "x")}) == 3


def test_a_key_tells_nothing_of_the_request() -> None:
    key = CACHE.key(1, "run", "a secret " * 1000)
    assert len(key.digest) == 32
    assert ResponseCache(0).key(1, "run", "a secret " * 1000).digest != key.digest


@pytest.mark.parametrize("value", [object(), {1, 2}, Settings, lambda: 1])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match="cannot be cached"):
        CACHE.key(1, "run", [value])


@dataclass(frozen=True)
class Answer:
    text: str
    scores: dict[str, float]
    labels: tuple[str, ...]


def an_answer(number: int) -> Answer:
    scores = {f"label {number} {label}": number + label / 7 for label in range(5)}
    return Answer("é" * 300 + str(number), scores, tuple(scores))


@pytest.mark.parametrize("make", [an_answer, lambda number: f"short {number}"])
def test_the_bytes_counted_are_those_held(make: object) -> None:
    assert callable(make)
    cache = ResponseCache(10_000_000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2000):
            answer = make(number)
            cache.put(a_key(cache, number), answer, held_bytes(answer))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert cache.stats.entries == 2000
    assert held <= cache.stats.nbytes <= 1.5 * held


def test_many_threads_use_it_at_once() -> None:
    cache = ResponseCache(20 * ENTRY)

    def work(thread: int) -> int:
        for step in range(300):
            number = (thread * 7 + step) % 40
            key = a_key(cache, number, generation=1 + number % 3)
            found = cache.get(key)
            assert found in (None, f"answer {number}")
            if found is None:
                cache.put(key, f"answer {number}", number)
        return 300

    with ThreadPoolExecutor(8) as threads:
        asked = sum(threads.map(work, range(16)))
    stats = cache.stats
    assert stats.hits + stats.misses == asked
    assert stats.nbytes <= 20 * ENTRY
