"""Answers of two bundles side by side."""

from __future__ import annotations

from benchmarks.agreement import compared


def test_what_differs_is_kept_beside_what_it_should_be() -> None:
    assert compared(["a b", "c d", "e"], ["a b", "c x", "e"]) == {
        "answers": 3,
        "equal": 2,
        "share_equal": 2 / 3,
        "different": [("c d", "c x")],
    }
