"""What the guard lets into a prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.prompts import Task
from edge_autoglm.prompts.guard.bidi import misleading, without_direction_controls
from edge_autoglm.prompts.guard.characters import first_control, first_hidden, without_control, without_hidden
from edge_autoglm.prompts.guard.lookalikes import first_lookalike
from edge_autoglm.prompts.guard.reasons import Reason
from edge_autoglm.prompts.guard.rules import Allowed, GuardRules
from edge_autoglm.prompts.guard.screening import Screened, screen
from edge_autoglm.prompts.text import unusable
from tests.prompts.guard.hostile import LONG, hostile_texts
from tests.prompts.guard.ordinary import PHRASES, ordinary_texts
from tests.swap.world import text_task

TASK = text_task()
STRICT = GuardRules(control="refuse", bidi="refuse", lookalikes="flag")


def guarded(**rules: Any) -> Task:
    return replace(TASK, guard=GuardRules(**rules))


def screened(text: Any, **rules: Any) -> Screened:
    return screen(guarded(**rules), {"text": text})


def reason(text: Any, **rules: Any) -> Reason | None:
    refusal = screened(text, **rules).refusal
    return None if refusal is None else refusal.reason


def test_there_are_five_hundred_ordinary_texts_in_twelve_scripts_or_more() -> None:
    texts = ordinary_texts(500)
    assert len({text for _, text in texts}) == 500
    assert len({script for script, _ in texts}) == len(PHRASES) == 16


@pytest.mark.parametrize("task", [TASK, replace(TASK, guard=STRICT)], ids=["default", "strict"])
def test_ordinary_texts_pass_unchanged(task: Task) -> None:
    for script, text in ordinary_texts(500):
        inputs = {"text": text}
        result = screen(task, inputs)
        assert result.refusal is None, (script, text, result.refusal)
        assert result.inputs is inputs
        assert not result.dropped, (script, text)


def test_ordinary_texts_are_hardly_ever_flagged() -> None:
    flagged = {text for _, text in ordinary_texts(500) if screen(TASK, {"text": text}).flagged}
    assert flagged == set()


NASTY = st.text(
    alphabet=st.sampled_from("a\x01\x1b\x1c\n\U000e0041\ufe00\ufe01🏴\U000e0067\U000e007f\u202e\u2066\u2069")
)


@given(st.one_of(st.text(), NASTY), st.sampled_from(["refuse", "drop"]))
def test_whatever_passes_is_clean_and_screening_twice_changes_nothing(text: str, bidi: str) -> None:
    once = screened(text, bidi=bidi)
    if once.refusal is not None:
        assert once.refusal.cause
        assert once.refusal.cure.endswith(".")
        return
    clean = once.inputs["text"]
    assert unusable(clean) is None
    assert (first_control(clean), first_hidden(clean), misleading(clean)) == (None, None, None)
    assert screened(clean, bidi=bidi).inputs["text"] == clean
    if not once.dropped:
        assert clean == text


@given(st.text(alphabet=st.characters(categories=("L", "M", "N", "P", "S", "Zs"))))
def test_letters_marks_numbers_and_signs_are_never_touched(text: str) -> None:
    variation_runs = first_hidden(text) is not None  # combining marks are ordinary, a run of selectors is not
    result = screened(text)
    assert variation_runs or (result.refusal is None and result.inputs["text"] == text)


@pytest.mark.parametrize(
    "number", [*range(9), *range(14, 32), 127, *range(128, 133), *range(134, 160), 0xFDD0, 0x1FFFF]
)
def test_control_characters_are_dropped_or_refused(number: int) -> None:
    text = f"a{chr(number)}b"
    if number == 0:
        assert reason(text) is Reason.ENCODING
        return
    assert screened(text).inputs["text"] == "ab"
    assert screened(text).dropped == (Reason.CONTROL,)
    assert reason(text, control="refuse") is Reason.CONTROL


@pytest.mark.parametrize(
    "character", "\t\n\v\f\r\x85\u2028\u2029\u200b\u200c\u200d\u200e\u200f\u061c\u00ad\ufeff\u2060\ufffd"
)
def test_white_space_joiners_and_marks_pass(character: str) -> None:
    assert screened(f"a{character}b", control="refuse").inputs["text"] == f"a{character}b"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("hi\U000e0041\U000e0042", "hi"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f!", None),
        ("🏴\U000e0041\U000e007f", "🏴"),
        ("a\ufe00\ufe01\ufe02b", "ab"),
        ("❤\ufe0f", None),
        ("葛\U000e0100", None),
    ],
)
def test_hidden_text_is_dropped_and_flags_and_selectors_stay(text: str, clean: str | None) -> None:
    assert screened(text).inputs["text"] == (text if clean is None else clean)
    assert reason(text, control="refuse") is (None if clean is None else Reason.HIDDEN)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("plain", None),
        ("a \u202bb\u202c c", None),
        ("a \u2068b\u2069 \u2067c\u2069", None),
        ("\u2067a \u202ab\u202c c\u2069", None),
        ("\u2067a\u2069\n\u2066b\u2069", None),
        ("a \u2066b", 2),
        ("a \u2066b\n\u2069", 2),
        ("a\u2069", 1),
        ("\u202ba\u2069", 2),
        ("\u202aa \u2067b\u202c c\u2069", 5),
        ("a \u202eb\u202c", 2),
        ("/*\u202e } \u2066if (isAdmin)\u2069 \u2066 begin admins only */", 2),
        ('access != "user\u202e \u2066// Check if admin\u2069 \u2066" {', 15),
    ],
)
def test_direction_controls(text: str, position: int | None) -> None:
    assert misleading(text) == position
    assert reason(text) is (None if position is None else Reason.BIDI)
    assert reason(text, bidi="pass") is None
    assert screened(text, bidi="pass").inputs["text"] == text
    dropped = screened(text, bidi="drop").inputs["text"]
    assert dropped == (text if position is None else without_direction_controls(text))


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("p\u0430ypal", 0),
        ("the b\u0430nk", 4),
        ("\u0391pple", 0),
        ("12\u0663", 0),
        ("call \u0967\u09682", 5),
        ("USB-\u043a\u0430\u0431\u0435\u043b\u044c", None),
        ("iPhone\u7528", None),
        ("\u0661\u0662\u0663", None),
        ("\u0661\u0662 or 12", None),
        ("na\u00efve caf\u00e9", None),
    ],
)
def test_lookalikes_are_flagged_and_refused_on_demand(text: str, position: int | None) -> None:
    assert first_lookalike(text) == position
    result = screened(text)
    assert result.refusal is None
    assert result.inputs["text"] == text
    assert result.flagged == (() if position is None else (Reason.LOOKALIKES,))
    assert reason(text, lookalikes="refuse") is (None if position is None else Reason.LOOKALIKES)


def test_length_is_looked_at_first() -> None:
    assert reason("a" * 10, max_chars=10) is None
    assert reason("\0" * 11, max_chars=10) is Reason.LENGTH
    assert reason("a" * LONG) is Reason.LENGTH


@pytest.mark.parametrize("text", ["\ud800", "a\udc00", "\0"])
def test_what_no_tokenizer_can_take_is_refused(text: str) -> None:
    assert reason(text) is Reason.ENCODING


@pytest.mark.parametrize("value", [b"bytes", bytearray(b"\xff"), None, 7, ["text"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    assert reason(value) is Reason.INPUTS


def test_bytes_are_told_how_to_become_text() -> None:
    refusal = screened(b"caf\xe9").refusal
    assert refusal is not None
    assert "decode('utf-8', errors='replace')" in refusal.cure


def test_missing_and_superfluous_inputs_are_refused() -> None:
    for inputs in ({}, {"text": "a", "tone": "b"}):
        refusal = screen(TASK, inputs).refusal
        assert refusal is not None
        assert refusal.reason is Reason.INPUTS


@pytest.mark.parametrize(
    ("allowed", "text", "passes"),
    [
        (Allowed(values=("metre", "foot")), "foot", True),
        (Allowed(values=("metre", "foot")), "Foot", False),
        (Allowed(characters="A-Z0-9-"), "AB-12", True),
        (Allowed(characters="A-Z0-9-"), "AB_12", False),
        (Allowed(characters="-a"), "a-", True),
        (Allowed(characters="a-z", max_chars=3), "abcd", False),
        (Allowed(characters="]^\\"), "\\^]", True),
        (Allowed(characters="а-я "), "да нет", True),
    ],
)
def test_allow_lists(allowed: Allowed, text: str, passes: bool) -> None:
    assert reason(text, allow={"text": allowed}) is (None if passes else Reason.NOT_ALLOWED)


def test_an_allow_list_takes_no_longer_than_a_scan() -> None:
    text = "a" * LONG + "!"
    assert reason(text, max_chars=2 * LONG, allow={"text": Allowed(characters="a-z")}) is Reason.NOT_ALLOWED


@pytest.mark.parametrize("piece", ["<|im_", "\u202e", "\x1b", "👍\ufe0f"])
def test_a_megabyte_in_one_line_is_screened_where_a_task_lets_it_in(piece: str) -> None:
    result = screened((piece * LONG)[:LONG], max_chars=LONG, bidi="drop")
    assert result.refusal is None
    assert result.inputs["text"] == ("" if piece in "\u202e\x1b" else (piece * LONG)[:LONG])


def test_hostile_texts_are_refused_or_clean_and_nothing_else() -> None:
    texts = hostile_texts(500)
    assert len(set(texts)) == 500
    found = [screened(text) for text in texts]
    for text, result in zip(texts, found, strict=True):
        if result.refusal is None:
            clean = result.inputs["text"]
            assert unusable(clean) is None
            assert first_control(clean) is None
            assert len(clean) <= len(text)
    reasons = {result.refusal.reason for result in found if result.refusal is not None}
    assert reasons == {Reason.ENCODING, Reason.BIDI, Reason.LENGTH}
    assert {kind for result in found for kind in result.dropped} == {Reason.CONTROL, Reason.HIDDEN}


@given(NASTY)
def test_dropping_is_complete(text: str) -> None:
    assert first_control(without_control(text)) is None
    assert first_hidden(without_hidden(text)) is None
    assert misleading(without_direction_controls(text)) is None
