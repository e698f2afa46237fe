"""Answers of a given form: forced tokens and drafts change time, never tokens."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llguidance")

from edge_autoglm.constraints import Choice, Constraint, JsonSchema, Regex
from edge_autoglm.runtime.decoding.grammar import GrammarCompiler, Matcher
from edge_autoglm.runtime.decoding.lookup import LookupDrafter
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from tests.checkpoints import VOCAB_SIZE
from tests.runtime.requests.test_generate import EOS, PROMPT, TOKENIZER, PlannedDrafter, Ran, generate

COMPILER = GrammarCompiler(TOKENIZER, VOCAB_SIZE, (EOS,))
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"film": {"enum": ["good", "bad", "great"]}, "sure": {"type": "boolean"}},
    "required": ["film", "sure"],
    "additionalProperties": False,
}
CONSTRAINTS: dict[str, Constraint] = {
    "choice": Choice(["the film is good", "the film is bad", "no"]),
    "regex": Regex("the (good|bad) film(, and the (good|bad) film)* is (great|a text)[.]"),
    "json": JsonSchema(PERSON),
}


def matcher(name: str) -> Matcher:
    return COMPILER.compile(CONSTRAINTS[name]).matcher()


def constrained(name: str, seed: int, temperature: float, **more: Any) -> Ran:
    return generate(
        ScriptedEngine(VOCAB_SIZE, seed=seed), matcher=matcher(name), temperature=temperature, seed=seed, **more
    )


def fits(name: str, text: str) -> bool:
    constraint = CONSTRAINTS[name]
    if isinstance(constraint, Choice):
        return text in constraint.options
    if isinstance(constraint, Regex):
        return re.fullmatch(constraint.pattern, text) is not None
    parsed = json.loads(text)
    return set(parsed) == {"film", "sure"} and parsed["film"] in ("good", "bad", "great")


ALL = pytest.mark.parametrize("name", CONSTRAINTS)
TEMPERATURES = pytest.mark.parametrize("temperature", [0.0, 1.0])


@ALL
@TEMPERATURES
@pytest.mark.parametrize("seed", range(8))
def test_the_answer_has_its_form(name: str, temperature: float, seed: int) -> None:
    ran = constrained(name, seed, temperature)
    if ran.output.finish_reason == "eos":
        assert fits(name, ran.text)
    assert ran.output.finish_reason in ("eos", "length")


@ALL
@TEMPERATURES
@pytest.mark.parametrize("seed", range(8))
def test_forced_tokens_are_those_that_picking_gives(name: str, temperature: float, seed: int) -> None:
    """Whoever wants log-probabilities has every token picked."""
    jumped = constrained(name, seed, temperature)
    picked = constrained(name, seed, temperature, logprobs=0)
    assert jumped.answer == picked.answer
    assert (jumped.text, jumped.output.finish_reason) == (picked.text, picked.output.finish_reason)
    assert len(jumped.asks) < len(picked.asks)
    assert len(picked.output.logprobs) == len(picked.answer)
    assert jumped.held == picked.held[: len(jumped.held)]  # what is forced at the end need not run


@ALL
@TEMPERATURES
@settings(max_examples=25)
@given(data=st.data())
def test_drafts_change_no_constrained_answer(name: str, temperature: float, data: st.DataObject) -> None:
    """Drafts are tokens of the answer, of anything else, or such as the form does not allow."""
    seed = data.draw(st.integers(0, 5))
    plain = constrained(name, seed, temperature)
    token = st.sampled_from(plain.answer) | st.integers(0, VOCAB_SIZE - 1)
    drafts = data.draw(st.lists(st.lists(token, max_size=6), max_size=30))
    ran = constrained(name, seed, temperature, drafter=PlannedDrafter(drafts))
    assert (ran.answer, ran.text) == (plain.answer, plain.text)
    assert ran.held == [*PROMPT, *ran.answer][: len(ran.held)]


@TEMPERATURES
def test_right_drafts_are_kept_beside_forced_tokens(temperature: float) -> None:
    plain = constrained("regex", 3, temperature, logprobs=0)
    drafts = [plain.answer[done:] for done in range(1, len(plain.answer))]
    ran = constrained("regex", 3, temperature, logprobs=0, drafter=PlannedDrafter(drafts))
    assert ran.answer == plain.answer
    assert len(ran.asks) == 2
    assert ran.output.accepted >= len(plain.answer) - 3


@ALL
@TEMPERATURES
@pytest.mark.parametrize("limit", range(1, 12))
def test_a_limit_in_the_middle_of_forced_tokens(name: str, temperature: float, limit: int) -> None:
    whole = constrained(name, 1, temperature)
    ran = constrained(name, 1, temperature, limit=limit)
    assert ran.answer == whole.answer[:limit]
    assert ran.output.usage.new_tokens == len(ran.answer) <= limit
    assert ran.held == [*PROMPT, *ran.answer][: len(ran.held)]


@pytest.mark.parametrize("stop", ["fi", "m i", "film", "is"])
def test_a_stop_text_in_the_middle_of_forced_tokens(stop: str) -> None:
    whole = constrained("regex", 0, 0.0)
    ran = constrained("regex", 0, 0.0, stop=(stop,))
    assert ran.text == whole.text.partition(stop)[0]
    assert ran.output.finish_reason == "stop"


def test_look_up_drafts_come_along_with_forced_tokens() -> None:
    prompt = [*PROMPT, *TOKENIZER.encode("the good film, and the good film, and the good film is great.")]

    def drafter(tokens: Any) -> LookupDrafter:
        return LookupDrafter(tokens, 16, 0.1, {EOS})

    for seed in range(10):
        plain = constrained("regex", seed, 0.0, prompt=prompt, limit=40)
        ran = constrained("regex", seed, 0.0, prompt=prompt, limit=40, drafter=drafter)
        assert ran.answer == plain.answer
        assert ran.output.drafted > 0
