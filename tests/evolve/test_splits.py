"""Splits keep what prompts are judged by away from what they are made of."""

from __future__ import annotations

import pytest

from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.splits import Shares, split
from edge_autoglm.prompts.rewrite import Labelled
from tests.evolve.world import mood_examples

LABELS = ("good", "bad")


def _texts(part: tuple[Labelled, ...]) -> set[str]:
    return {each.inputs["text"] for each in part}


def test_nothing_is_in_two_parts_and_labels_are_in_proportion() -> None:
    examples = mood_examples(100) + [Labelled({"text": f"More {n}."}, "good") for n in range(100)]
    found = split(examples, Shares(), 3, LABELS)
    parts = (found.train, found.validation, found.test)
    assert [len(part) for part in parts] == [40, 100, 60]
    assert len(set.union(*map(_texts, parts))) == 200
    for part in parts:
        assert sum(each.expect == "good" for each in part) / len(part) == pytest.approx(0.75, abs=0.01)


def test_every_beginning_of_the_validation_has_all_labels_in_proportion() -> None:
    examples = mood_examples(80) + [Labelled({"text": f"More {n}."}, "good") for n in range(40)]
    validation = split(examples, Shares(0.0, 1.0, 0.0), 3, LABELS).validation
    for count in (6, 12, 30, 60):
        assert sum(each.expect == "good" for each in validation[:count]) == pytest.approx(count * 2 / 3, abs=1.01)


def test_repetitions_count_once_whatever_their_case_and_spaces() -> None:
    again = [Labelled({"text": "  it WAS day\u00a01. "}, "bad"), *mood_examples(4)]
    found = split(mood_examples(40) + again, Shares(), 0, LABELS)
    assert found.repeated == 5
    assert sum(map(len, (found.train, found.validation, found.test))) == 40


def test_contradictions_are_left_out_altogether() -> None:
    found = split([*mood_examples(40), Labelled({"text": "It was day 1."}, "good")], Shares(), 0, LABELS)
    assert found.contradictory == 2
    parts = (found.train, found.validation, found.test)
    assert "It was day 1." not in set.union(*map(_texts, parts))


def test_the_seed_decides() -> None:
    one, same, other = (split(mood_examples(60), Shares(), seed, LABELS) for seed in (1, 1, 2))
    assert one == same
    assert one.test != other.test


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(EvolveError, match="of 6 different examples, 2 are left"):
        split(mood_examples(6), Shares(), 0, LABELS)
    with pytest.raises(EvolveError, match="has the label bad"):
        split([Labelled({"text": f"x{n}"}, "good") for n in range(40)], Shares(), 0, LABELS)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (-0.1, 0.6, 0.5), (0.5, 0.0, 0.5)])
def test_shares_must_sum_up(shares: tuple[float, float, float]) -> None:
    with pytest.raises(EvolveError, match="shares"):
        Shares(*shares)
