from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.decoding.consensus import majority, parsed

JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text("ab", max_size=1), inner, max_size=2)),
    max_leaves=4,
)


def test_the_most_frequent_answer_wins_and_the_spread_is_told() -> None:
    consensus = majority([7, 9, None, 9, 7, 9])
    assert (consensus.answer, consensus.votes, consensus.of, consensus.unparsed) == (9, 3, 6, 1)
    assert [(one.answer, one.votes, one.share) for one in consensus.spread] == [(9, 3, 3 / 6), (7, 2, 2 / 6)]
    assert consensus.agreement == 0.5


def test_of_equally_frequent_answers_the_first_wins() -> None:
    consensus = majority(["b", "a", "c", "a", "b"])
    assert [one.answer for one in consensus.spread] == ["b", "a", "c"]


def test_answers_are_equal_as_json_values_are() -> None:
    consensus = majority([{"a": 1, "b": [1, {}]}, {"b": [1.0, {}], "a": 1.0}, {"a": True, "b": [1, {}]}, {"a": 1}])
    assert consensus.votes == 2
    assert consensus.answer == {"a": 1, "b": [1, {}]}
    assert len(majority([1, True, "1", [1], [[1]], {"1": 1}]).spread) == 6


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), JSON), min_size=1, max_size=12))
def test_votes_are_those_of_canonical_json(answers: list[Any]) -> None:
    texts = [json.dumps(answer, sort_keys=True) for answer in answers if answer is not None]
    consensus = majority(answers)
    assert sorted(one.votes for one in consensus.spread) == sorted(texts.count(text) for text in set(texts))
    assert sum(one.share for one in consensus.spread) + consensus.unparsed / len(answers) == pytest.approx(1.0)
    assert consensus.votes == max((texts.count(text) for text in texts), default=0)
    assert 0.0 <= consensus.entropy <= 1.0 + 1e-12


@pytest.mark.parametrize(
    ("answers", "entropy"),
    [
        (["a", "a", "a", None], 0.0),
        (["a"], 0.0),
        ([None, None], 0.0),
        (["a", "b", "c"], 1.0),
        (["a", "a", "b", "b"], math.log(2) / math.log(4)),
    ],
)
def test_entropy_is_0_where_all_agree_and_1_where_none_do(answers: list[str | None], entropy: float) -> None:
    assert majority(answers).entropy == pytest.approx(entropy)


def test_without_a_parsed_sample_there_is_no_answer() -> None:
    consensus = majority([None, *parsed(["?"], int)])
    assert (consensus.answer, consensus.votes, consensus.of, consensus.unparsed, consensus.spread) == (
        None,
        0,
        2,
        2,
        (),
    )


@pytest.mark.parametrize(("answers", "cause"), [([], "no samples"), ([{1, 2}], "an answer is a set")])
def test_what_cannot_be_counted_is_refused(answers: list[Any], cause: str) -> None:
    with pytest.raises(RequestError, match=cause):
        majority(answers)


def test_texts_that_do_not_parse_have_no_vote() -> None:
    assert parsed(["3", "three", "4"], int) == [3, None, 4]
    assert parsed(['{"a": 1}', "{}", "?"], lambda text: json.loads(text)["a"]) == [1, None, None]
    pattern = re.compile(r"answer is (\d+)")
    found = parsed(["the answer is 12.", "no idea"], lambda text: match[1] if (match := pattern.search(text)) else None)
    assert found == ["12", None]


def test_a_bug_in_the_parser_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        parsed(["0"], lambda text: 1 / int(text))
