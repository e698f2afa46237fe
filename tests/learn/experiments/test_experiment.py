"""What an experiment may be, and when it runs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from edge_autoglm.errors import ExperimentError
from edge_autoglm.learn.experiments.experiment import Experiment

NOON = datetime(2027, 1, 4, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "no spaces please"}, "cannot name an experiment"),
        ({"variants": ("plain",)}, "experiment politer: it has 1 variants"),
        ({"variants": ("plain", "plain")}, "names a variant twice"),
        ({"weights": (1.0,)}, "1 weights for 2 variants"),
        ({"weights": (1.0, 0.0)}, "its weights are"),
        ({"weights": (1.0, float("nan"))}, "its weights are"),
        ({"weights": (1e-300, 1.0)}, "leave a variant hardly any share"),
        ({"weights": (1e308, 1e308)}, "leave a variant hardly any share"),
        ({"variants": "plain"}, "its variants are the text 'plain'"),
        ({"rollout": 1.5}, r"the rollout is 1\.5"),
        ({"rollout": float("nan")}, "the rollout is nan"),
        ({"version": 0}, "the version is 0"),
        ({"start": datetime(2027, 1, 4)}, "the start .* has no time zone"),
        ({"start": NOON, "end": NOON}, "is not after the start"),
    ],
)
def test_what_is_out_of_range_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        Experiment(**{"name": "politer", "task": "reply", "variants": ("plain", "polite")} | settings)


def test_weights_are_shares_in_any_unit_and_variants_that_are_not_compared_have_none() -> None:
    experiment = Experiment("politer", "reply", ("polite", "plain"), weights=(30.0, 10.0))
    assert experiment.propensities(("plain", "short", "polite")) == (0.25, 0.0, 0.75)


def test_lists_are_as_good_as_tuples() -> None:
    assert Experiment("a", "reply", ["plain", "polite"], [1, 3]) == Experiment(
        "a", "reply", ("plain", "polite"), (1, 3)
    )  # type: ignore[arg-type]


def test_it_runs_from_its_start_until_before_its_end() -> None:
    experiment = Experiment("politer", "reply", ("plain", "polite"), start=NOON, end=NOON + HOUR)
    moments = [NOON - HOUR, NOON, NOON + HOUR / 2, NOON + HOUR]
    assert [experiment.runs(now) for now in moments] == [False, True, True, False]
    off = Experiment("politer", "reply", ("plain", "polite"), enabled=False)
    assert not off.runs(NOON)
