"""Figures and text of a request while it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.runtime.requests.output import GeneratedText, Output
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import tiny_tokenizer_json

TOKENIZER = Tokenizer(tiny_tokenizer_json())


def released(text: GeneratedText, tokens: list[int]) -> list[str]:
    """What each token lets through, and the end at last."""
    pieces = []
    for token in tokens:
        text.push(token)
        pieces.append(text.take())
        if text.stopped:
            break
    text.finish()
    return [*pieces, text.take()]


def test_text_is_taken_once() -> None:
    text = GeneratedText(TOKENIZER, ())
    for token in TOKENIZER.encode(" good film"):
        text.push(token)
    assert text.take() == " good film"
    assert text.take() == ""


def test_what_may_become_a_stop_text_is_held_back_until_it_does_not() -> None:
    pieces = released(GeneratedText(TOKENIZER, ("dx",)), TOKENIZER.encode(" good bad"))
    assert pieces == [" goo", "d ba", "d"]


def test_a_stop_text_is_not_let_through_and_nothing_behind_it() -> None:
    text = GeneratedText(TOKENIZER, ("ad",))
    pieces = released(text, TOKENIZER.encode(" good bad great"))
    assert "".join(pieces) == " good b"
    assert text.stopped


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=3), max_size=2))
def test_pieces_together_are_the_text_up_to_the_stop(answer: str, stops: list[str]) -> None:
    tokens = TOKENIZER.encode(answer)
    whole = TOKENIZER.decode(tokens)
    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    assert "".join(released(GeneratedText(TOKENIZER, stops), tokens)) == (whole[: min(ends)[1]] if ends else whole)


def test_the_first_token_has_its_time() -> None:
    output = Output(prompt_tokens=3)
    assert (output.ttft, output.usage.new_tokens) == (0.0, 0)
    output.count()
    first = output.ttft
    output.count()
    assert 0 < first == output.ttft <= output.elapsed
    assert output.usage.new_tokens == 2


def test_times_stand_still_behind_the_end() -> None:
    output = Output(prompt_tokens=3)
    before = output.timings.total
    assert output.timings.total > before
    output.total = output.elapsed
    assert output.timings == output.timings
    assert output.timings.total == output.total


@pytest.mark.parametrize("answer", ["你好", "🙂"])
def test_half_a_character_is_never_let_through(answer: str) -> None:
    pieces = released(GeneratedText(TOKENIZER, ()), TOKENIZER.encode(answer))
    assert "".join(pieces) == answer
    assert not any("\ufffd" in piece for piece in pieces)
