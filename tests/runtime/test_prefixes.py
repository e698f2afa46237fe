from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, KVPrefix
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.prefixes import ResidentPrefixes

ENGINE = ScriptedEngine(vocab_size=8)
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=6)


def kv_of(tokens: list[int]) -> KVPrefix:
    ENGINE.truncate(0, 0)
    ENGINE.forward([Chunk(0, tokens, ())])
    return ENGINE.copy_out(0, len(tokens))


def residents(*texts: list[int]) -> ResidentPrefixes:
    prefixes = ResidentPrefixes(ENGINE.facts)
    for tokens in texts:
        prefixes.add(tokens, kv_of(tokens))
    return prefixes


def found(prefixes: ResidentPrefixes, tokens: list[int]) -> list[int] | None:
    """The tokens whose KV would be restored."""
    hit = prefixes.longest(tokens)
    return None if hit is None else hit[0].arrays[0][: hit[1]].tolist()


@given(st.lists(TOKENS, max_size=5), st.lists(st.integers(0, 2), max_size=9))
def test_the_longest_common_beginning_is_found(texts: list[list[int]], prompt: list[int]) -> None:
    usable = [prompt[:n] for n in range(1, len(prompt) - 1) if any(text[:n] == prompt[:n] for text in texts)]
    assert found(residents(*texts), prompt) == (usable[-1] if usable else None)


def test_two_tokens_are_left_to_run() -> None:
    prefixes = residents([1, 2, 3, 4])
    assert found(prefixes, [1, 2, 3, 4]) == [1, 2]
    assert found(prefixes, [1, 2, 3, 4, 5]) == [1, 2, 3]
    assert found(prefixes, [1, 2, 3, 4, 5, 6]) == [1, 2, 3, 4]
    assert found(prefixes, [1, 2]) is None
    assert found(prefixes, []) is None


def test_a_covered_prefix_takes_no_memory() -> None:
    prefixes = residents([1, 2, 3], [1, 2], [1, 2, 3, 4], [5])
    assert len(prefixes) == 2
    assert prefixes.nbytes == 8 * (4 + 1)


def test_kv_of_another_engine_or_length_is_refused() -> None:
    prefixes = residents()
    with pytest.raises(EngineError, match="other"):
        prefixes.add([1, 2], dataclasses.replace(kv_of([1, 2]), fingerprint="other"))
    with pytest.raises(EngineError, match="2 tokens"):
        prefixes.add([1, 2, 3], kv_of([1, 2]))
    assert len(prefixes) == 0


def test_shared_prefixes_are_found_and_cost_nothing() -> None:
    old, new = residents([1, 2, 3]), residents()
    assert new.share(old) == 1
    assert found(new, [1, 2, 3, 4, 5]) == [1, 2, 3]
    assert (len(new), new.nbytes) == (0, 0)


def test_only_adopted_prefixes_stay() -> None:
    old, new = residents([1, 2, 3], [4, 5, 6]), residents()
    new.share(old)
    assert new.adopt([1, 2])
    assert not new.adopt([1, 2, 9])
    new.release_shared()
    assert found(new, [1, 2, 3, 4, 5]) == [1, 2, 3]
    assert found(new, [4, 5, 6, 7, 7]) is None
    newest = residents()
    assert newest.share(new) == 1


def test_prefixes_of_another_model_are_not_shared() -> None:
    new = ResidentPrefixes(ScriptedEngine(vocab_size=8, seed=1).facts)
    assert new.share(residents([1, 2, 3])) == 0
    assert new.longest([1, 2, 3, 4, 5]) is None
