"""Which variant wins where."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.learn.log import read_log
from edge_autoglm.learn.models.mixture import MixtureModel
from edge_autoglm.learn.reading import read_policy
from edge_autoglm.learn.winners import Winners, find_winners
from tests.learn.history import ARMS, TASK, write_history


@pytest.fixture(scope="module")
def winners(tmp_path_factory: pytest.TempPathFactory) -> Winners:
    state: Path = write_history(tmp_path_factory.mktemp("winners") / "state")
    found = find_winners(read_policy(state).model, ARMS, [logged.features for logged in read_log(state)[TASK]])
    assert found is not None
    return found


def test_the_sides_of_the_feature_that_matters_have_winners_of_their_own(winners: Winners) -> None:
    sides = {(region.feature, region.side): winners.winner(region) for region in winners.regions}
    assert (sides["length", "low"], sides["length", "high"]) == ("plain", "polite")


def test_what_matters_most_comes_first_and_noise_last(winners: Winners) -> None:
    features = [region.feature for region in winners.regions]
    assert features[0] is None
    assert features.index("length") < features.index("app:noise")


def test_regions_count_their_requests(winners: Winners) -> None:
    everything, *sides = winners.regions
    assert everything.requests == 400
    assert all(0 < region.requests < 400 and region.low <= region.high for region in sides)
    assert everything.name == "all"


def test_few_requests_tell_nothing(tmp_path: Path) -> None:
    state = write_history(tmp_path / "state", requests=20)
    requests = [logged.features for logged in read_log(state)[TASK]]
    assert find_winners(MixtureModel(), ARMS, requests) is None
