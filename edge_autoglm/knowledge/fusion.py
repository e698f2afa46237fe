"""One ranking out of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_K = 60
"""From the paper; it keeps the first places of one ranking from deciding alone."""


def fuse(rankings: Iterable[Sequence[int]]) -> list[tuple[int, float]]:
    """Items with their fused scores, best first.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): an item gets ``1 / (60 + rank)`` from each
    ranking that it is in, ranks from 1. Among equals the newer item, of the higher number, comes first.

    >>> [item for item, _ in fuse([[7, 8], [8, 9]])]
    [8, 7, 9]
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (_K + rank)
    return sorted(scores.items(), key=lambda scored: (-scored[1], -scored[0]))
