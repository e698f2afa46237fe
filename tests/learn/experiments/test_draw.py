"""Draws: the same for a session for ever, even, and independent of one another."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from edge_autoglm.learn.experiments.draw import Draw
from edge_autoglm.learn.experiments.experiment import Experiment
from tests.learn.experiments.traffic import KEY

POLITER = Experiment("politer", "reply", ("plain", "polite"))
SESSIONS = [f"session {number}" for number in range(4000)]
RNG = random.Random(1)
FIRST_EIGHT = [None, None, None, None, "polite", "polite", None, "plain"]
"""Written down when it was first released: another hash would move every user of a running experiment."""


def variants(experiment: Experiment, sessions: Sequence[str | None] = SESSIONS) -> list[str | None]:
    draw = Draw(experiment)
    return [draw.variant(session, RNG) for session in sessions]


def within_five_sigma(count: int, n: int, share: float) -> bool:
    return abs(count - n * share) <= 5.0 * math.sqrt(n * share * (1.0 - share))


def association(pairs: Iterable[tuple[object, object]]) -> float:
    """Pearson's chi-square of a table of two by two: above 20 once in 100,000 tables without one."""
    table = Counter(pairs)
    n, rows, columns = sum(table.values()), Counter[object](), Counter[object]()
    for (row, column), count in table.items():
        rows[row] += count
        columns[column] += count
    return sum(
        (table[row, column] - rows[row] * columns[column] / n) ** 2 / (rows[row] * columns[column] / n)
        for row in rows
        for column in columns
    )


def test_a_session_has_its_variant_on_every_machine_and_in_every_release() -> None:
    assert variants(replace(POLITER, rollout=0.5), SESSIONS[:8]) == FIRST_EIGHT


def test_raising_the_roll_out_share_keeps_all_who_are_in_with_their_variant() -> None:
    before = variants(replace(POLITER, rollout=0.0))
    assert set(before) == {None}
    for share in (0.05, 0.2, 0.5, 0.9, 1.0):
        now = variants(replace(POLITER, rollout=share))
        assert within_five_sigma(sum(one is not None for one in now), len(now), share)
        assert all(was in (None, one) for was, one in zip(before, now, strict=True))
        before = now
    assert None not in before


@pytest.mark.parametrize("weights", [(1.0, 1.0), (9.0, 1.0), (1.0, 2.0, 5.0)])
@pytest.mark.parametrize("sessions", [SESSIONS, [None] * 4000], ids=["sessions", "requests without one"])
def test_variants_get_their_shares(weights: tuple[float, ...], sessions: Sequence[str | None]) -> None:
    experiment = Experiment("politer", "reply", ("plain", "polite", "short")[: len(weights)], weights=weights)
    counts = Counter(variants(experiment, sessions))
    for variant, share in zip(experiment.variants, experiment.shares, strict=True):
        assert within_five_sigma(counts[variant], len(sessions), share)


def test_requests_without_a_session_are_drawn_anew_each_time() -> None:
    assert set(variants(replace(POLITER, rollout=0.5), [None] * 50)) == {None, "plain", "polite"}


@pytest.mark.parametrize("other", [replace(POLITER, name="shorter"), replace(POLITER, version=2)])
def test_experiments_and_versions_are_drawn_independently(other: Experiment) -> None:
    assert association(zip(variants(POLITER), variants(other), strict=True)) < 20.0
    halves = (variants(replace(one, rollout=0.5)) for one in (POLITER, other))
    joined = ([one is None for one in half] for half in halves)
    assert association(zip(*joined, strict=True)) < 20.0


def test_who_takes_part_says_nothing_about_the_variant() -> None:
    joins = [one is None for one in variants(replace(POLITER, rollout=0.5))]
    assert association(zip(joins, variants(POLITER), strict=True)) < 20.0


def test_what_is_kept_of_a_session_cannot_be_told_without_the_key_nor_joined_across_experiments() -> None:
    draws = [Draw(POLITER), Draw(replace(POLITER, version=2)), Draw(replace(POLITER, name="shorter"))]
    assert len({draw.unit("user 7", KEY) for draw in draws}) == 3
    assert draws[0].unit("user 7", b"another key 1234") != draws[0].unit("user 7", KEY) == draws[0].unit("user 7", KEY)
    assert len({draws[0].unit(session, KEY) for session in SESSIONS}) == len(SESSIONS)


def test_any_text_is_a_session() -> None:
    draw = Draw(POLITER)
    for session in ("", "\ud800", "\0", "用户"):
        assert draw.variant(session, RNG) == draw.variant(session, RNG)
        assert 0 <= draw.unit(session, KEY) < 2**48
