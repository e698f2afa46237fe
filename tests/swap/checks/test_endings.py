from __future__ import annotations

from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.swap.checks.endings import never_ends
from tests.checkpoints import VOCAB_SIZE
from tests.swap.world import TOKENIZER, asking, first_generation, lookalike, make_catalogue, make_model, next_generation

A, B = TOKENIZER.encode("a")[0], TOKENIZER.encode("b")[0]


def fault(now: Engine, then: Engine) -> str | None:
    catalogue = make_catalogue(asking("asked", "Say how it was."), asking("other", "How was it?"))
    active = first_generation(make_model(now), catalogue)
    return never_ends(next_generation(active, model=make_model(then)), active, active.model)


def rambling() -> ScriptedEngine:
    """Never ends anything, and is no loop of one token."""
    return ScriptedEngine(VOCAB_SIZE, script={(): A, (A,): B})


def test_a_model_that_never_ends_is_found() -> None:
    found = fault(lookalike(), rambling())
    assert found is not None
    assert "task reply, variant asked, probe 1: does not end in" in found


def test_one_answer_that_ends_is_enough() -> None:
    assert fault(lookalike(), lookalike({"Answer:": "longer than that"})) is None


def test_what_the_active_generation_does_not_end_either_says_nothing() -> None:
    assert fault(rambling(), rambling()) is None
