from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.runtime.text.stop import StopMatcher

ALPHABET = st.text("ab\n", max_size=12)


def run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    """Everything let through, and whether a stop text ended it."""
    matcher = StopMatcher(stops)
    through = ""
    for piece in pieces:
        text, stopped = matcher.push(piece)
        through += text
        if stopped:
            return through, True
    return through + matcher.finish(), False


def reference(stops: list[str], text: str) -> tuple[str, bool]:
    """Character by character, straight from the definition."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@given(st.lists(ALPHABET.filter(bool), max_size=4), st.lists(ALPHABET, max_size=8))
def test_the_result_is_that_of_the_definition_however_the_text_is_cut(stops: list[str], pieces: list[str]) -> None:
    assert run(stops, pieces) == reference(stops, "".join(pieces))


def test_a_stop_text_across_pieces_ends_the_text_before_it() -> None:
    matcher = StopMatcher(["\nUser:"])
    assert matcher.push("Hello\n") == ("Hello", False)
    assert matcher.push("Us") == ("", False)
    assert matcher.push("er: hi") == ("", True)
    assert matcher.finish() == ""


def test_what_could_become_a_stop_text_is_held_back_no_longer_than_needed() -> None:
    matcher = StopMatcher(["\nUser:"])
    assert matcher.push("Hello\nUs") == ("Hello", False)
    assert matcher.push("age") == ("\nUsage", False)
    assert matcher.push("\nU") == ("", False)
    assert matcher.finish() == "\nU"


@pytest.mark.parametrize(
    ("stops", "expected"),
    [(["abcd", "bc"], "xa"), (["bcd", "abcd"], "x"), (["cd", "xabc"], "")],
    ids=["complete first", "longest of those complete together", "complete first, begun first"],
)
def test_which_of_several_stop_texts_wins(stops: list[str], expected: str) -> None:
    assert run(stops, ["xabcd"]) == (expected, True)
    assert run(stops, list("xabcd")) == (expected, True)


def test_without_stop_texts_everything_passes_at_once() -> None:
    matcher = StopMatcher([])
    assert matcher.push("anything") == ("anything", False)
    assert matcher.finish() == ""
