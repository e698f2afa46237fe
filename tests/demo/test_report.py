"""Figures of a made-up run whose numbers can be worked out by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edge_autoglm.demo.measure import FirstToken, Measurements
from edge_autoglm.demo.plot import plot_timeline, rolling_mean
from edge_autoglm.demo.report import DemoReport, build_report
from edge_autoglm.demo.tables import show
from edge_autoglm.demo.timeline import Answered, SwapWindow, Timeline


def made_up_timeline(slow: float = 0.15) -> Timeline:
    """Twenty requests, one a second: first a variant that is always wrong, then one that is always right.

    Each takes 0.1 s; the one under way when the first swap ends takes ``slow``.
    """
    answers = [
        Answered("movies", "bad" if number < 10 else "good", 1, number >= 10, float(number), 0.1)
        for number in range(20)
    ]
    answers[5] = Answered("movies", "bad", 1, False, 5.0, slow)
    swaps = (
        SwapWindow("policy", 4, 4.5, 5.05, 2),
        SwapWindow("prompts", 9, 8.5, 8.9, None, "latency"),
    )
    return Timeline(tuple(answers), swaps, ())


def made_up_report(timeline: Timeline | None = None) -> DemoReport:
    measured = Measurements(
        alone={"bad": 0.2, "good": 0.9},
        first_token=FirstToken(prompt_tokens=240, cached_tokens=200, resident=0.03, cold=0.12),
        decode_speed=100.0,
        peak_memory=5 * 10**8,
    )
    return build_report(timeline or made_up_timeline(), measured, Path("demo.png"), window=5)


def test_requests_during_a_swap_are_those_that_overlap_it() -> None:
    assert [answer.started for answer in made_up_timeline().during_swaps()] == [5.0]


def test_a_wait_is_what_exceeds_the_variants_median_outside_swaps() -> None:
    assert made_up_timeline(slow=0.15).longest_wait() == pytest.approx(0.05)
    assert made_up_timeline(slow=0.05).longest_wait() == 0.0


def test_a_variant_seen_only_during_swaps_is_held_against_its_own_median() -> None:
    answers = (Answered("movies", "new", 2, True, 1.0, 0.2), Answered("movies", "new", 2, True, 2.0, 0.4))
    timeline = Timeline(answers, (SwapWindow("policy", 0, 0.0, 9.0, 2),), ())
    assert timeline.longest_wait() == pytest.approx(0.1)


def test_accuracies_shares_and_speeds() -> None:
    report = made_up_report()
    assert (report.accuracy_first, report.accuracy_last) == (0.0, 1.0)
    assert (report.best_alone, report.mean_alone) == (0.9, pytest.approx(0.55))
    assert [variant.name for variant in report.variants] == ["good", "bad"]
    assert (report.variants[0].share, report.variants[0].share_last, report.variants[0].accuracy) == (0.5, 1.0, 1.0)
    assert report.prefill_speed == pytest.approx(2000)
    assert report.answering == pytest.approx(19.1)
    assert report.longest_request_in_swap == pytest.approx(0.15)


def test_goals_are_judged_one_by_one() -> None:
    goals = made_up_report().goals()
    assert goals.pop("at least three policies and one prompt set went live") is False
    assert set(goals.values()) == {True}
    assert made_up_report(made_up_timeline(slow=0.3)).goals()["no request waited longer than one prefill"] is False


def test_failures_count_as_requests() -> None:
    whole = made_up_timeline()
    report = made_up_report(Timeline(whole.answers, whole.swaps, ("no slot",)))
    assert (report.requests, report.failed) == (21, 1)
    assert report.goals()["no request failed"] is False


def test_the_figures_are_json_and_the_tables_name_every_variant() -> None:
    report = made_up_report()
    assert json.loads(json.dumps(report.to_json()))["swaps"][1]["note"] == "latency"
    printed = io.StringIO()
    show(report, Console(file=printed, width=120))
    for text in ("good", "bad", "0.000 / 1.000", "demo.png"):
        assert text in printed.getvalue()


def test_rolling_mean_uses_what_there_is_at_the_start() -> None:
    np.testing.assert_allclose(rolling_mean([1, 0, 1, 1], window=2), [1.0, 0.5, 0.5, 1.0])


def test_the_plot_is_a_picture_with_something_in_it(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image", reason="the plot needs the extra demo")
    plot_timeline(made_up_timeline(), tmp_path / "demo.png")
    pixels = image.imread(tmp_path / "demo.png")
    assert pixels.shape[0] > 500
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 50
