"""What the guard lets out as an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.prompts.guard.answers import judge_answer, judge_part, window_size
from edge_autoglm.prompts.guard.reasons import EXPLANATIONS, Reason
from edge_autoglm.prompts.guard.rules import Allowed, OutputRules
from tests.swap.world import TOKENIZER

RULES = OutputRules(max_chars=40, forbid=("http://", "Straße", "as an AI"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It is fine.", None),
        ("", Reason.EMPTY),
        ("half a \ufffd", Reason.BROKEN),
        ("half a pair \ud800", Reason.BROKEN),
        ("nul \0", Reason.BROKEN),
        ("fine<|im_end|>", Reason.MARKER),
        ("a" * 41, Reason.LENGTH),
        ("see http://x.y", Reason.FORBIDDEN),
        ("see HTTP://x.y", Reason.FORBIDDEN),
        ("see ｈｔｔｐ：／／x.y", Reason.FORBIDDEN),
        ("in der STRASSE", Reason.FORBIDDEN),
        ("As an ai model", Reason.FORBIDDEN),
    ],
)
def test_an_answer(text: str, reason: Reason | None) -> None:
    refusal = judge_answer(text, RULES, TOKENIZER.count_markers)
    assert (None if refusal is None else refusal.reason) is reason


@pytest.mark.parametrize(
    ("allow", "text", "passes"),
    [
        (Allowed(values=("yes", "no")), "yes", True),
        (Allowed(values=("yes", "no")), "Yes", False),
        (Allowed(characters="0-9.,"), "3.14", True),
        (Allowed(characters="0-9.,"), "3.14 m", False),
        (Allowed(characters="0-9", max_chars=2), "123", False),
    ],
)
def test_an_answer_off_the_allow_list(allow: Allowed, text: str, passes: bool) -> None:
    refusal = judge_answer(text, OutputRules(allow=allow), TOKENIZER.count_markers)
    assert (None if refusal is None else refusal.reason) is (None if passes else Reason.NOT_ALLOWED)


@given(st.lists(st.sampled_from(["a", "HT", "tp", "ｔp", ":/", "/", "/b", " ", "STRA", "sse", "ß", "e"]), max_size=12))
def test_pieces_are_refused_exactly_where_the_whole_is(pieces: list[str]) -> None:
    rules = OutputRules(forbid=RULES.forbid)
    whole, tail, refused = "".join(pieces), "", False
    for piece in pieces:
        window = tail + piece
        refused |= judge_part(window, len(window), rules) is not None
        tail = window[-window_size(rules) :]
    assert refused == (judge_part(whole, len(whole), rules) is not None)


def test_every_reason_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Reason)
