"""Percentiles against samples whose percentiles are known."""

from __future__ import annotations

import random
import statistics

import pytest

from edge_autoglm.bench.summary import Summary, summarize


def test_percentiles_of_a_known_sample() -> None:
    values = [float(value) for value in range(1, 102)]
    random.Random(0).shuffle(values)
    assert summarize(values) == Summary(count=101, mean=51.0, min=1.0, p50=51.0, p95=96.0, p99=100.0, max=101.0)


def test_percentiles_lie_between_the_two_nearest_samples() -> None:
    summary = summarize([10.0, 20.0])
    assert summary is not None
    assert (summary.p50, summary.p95, summary.p99) == pytest.approx((15.0, 19.5, 19.9))


@pytest.mark.parametrize("count", [2, 3, 17, 100, 999])
def test_the_definition_is_the_inclusive_one_of_the_standard_library(count: int) -> None:
    rng = random.Random(count)
    values = [rng.expovariate(1.0) for _ in range(count)]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    summary = summarize(values)
    assert summary is not None
    assert (summary.p50, summary.p95, summary.p99) == pytest.approx((cuts[49], cuts[94], cuts[98]))
    assert summary.p50 == pytest.approx(statistics.median(values))


def test_one_sample_is_its_own_percentiles() -> None:
    assert summarize([3.0]) == Summary(1, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0)


def test_nothing_has_no_percentiles() -> None:
    assert summarize([]) is None
