"""How little any reuse of prefixes could run."""

from __future__ import annotations

from benchmarks.evolve.reuse import tree_size


def test_what_two_prompts_begin_with_is_counted_once() -> None:
    assert tree_size([[1, 2, 3], [5, 6], [1, 2, 4, 7], [1, 2, 3]]) == 3 + 2 + 2


def test_nothing_is_shared_behind_a_difference() -> None:
    assert tree_size([[1, 9, 9], [2, 9, 9]]) == 6
