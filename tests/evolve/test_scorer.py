"""Scoring: each prompt once, behind a prefix that is computed once and given back."""

from __future__ import annotations

import pytest

from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.prompts import Variant
from edge_autoglm.prompts.rewrite import Labelled
from tests.evolve.world import RIGHT_ENDING, in_memory, knowing_engine, mood_examples, mood_task
from tests.swap.world import HookedEngine, TokenCounter, make_model, scripted, text_task

EXAMPLES = mood_examples(20)
LONG = Variant("long", prompt=f"Here is a text about some day, and a question.\nText: {{{{ text }}}}{RIGHT_ENDING}")
TASK = mood_task(LONG)


def test_every_prompt_runs_once_and_the_known_ones_cost_nothing() -> None:
    counter = TokenCounter()
    model = make_model(HookedEngine(knowing_engine(EXAMPLES), counter))
    scorer = Scorer(model, TASK, in_memory(TASK), budget=20)
    assert scorer.missing(LONG, EXAMPLES) == 20
    first = scorer.outcomes(LONG, EXAMPLES[:12])
    assert (scorer.calls, scorer.missing(LONG, EXAMPLES), scorer.left) == (12, 8, 8)
    ran = counter.tokens
    assert scorer.outcomes(LONG, EXAMPLES[:12]) == first
    assert counter.tokens == ran
    found = [max(zip(each.logprobs, TASK.labels, strict=True))[1] for each in scorer.outcomes(LONG, EXAMPLES)]
    assert found == [each.expect for each in EXAMPLES]
    model.close()


def test_the_prefix_is_computed_once_and_given_back() -> None:
    model = make_model(knowing_engine(EXAMPLES))
    scorer = Scorer(model, TASK, in_memory(TASK))
    outcomes = scorer.outcomes(LONG, EXAMPLES)
    static = scorer.static_tokens(LONG)
    assert static > 20
    assert {each.cached_tokens for each in outcomes} == {static}
    assert model.kv.stats.pinned_bytes == 0
    model.close()


def test_without_reuse_the_scores_are_the_same_and_nothing_is_held() -> None:
    found = []
    for reuse in (True, False):
        model = make_model(knowing_engine(EXAMPLES))
        scorer = Scorer(model, TASK, in_memory(TASK), reuse=reuse)
        found.append(scorer.outcomes(LONG, EXAMPLES))
        model.close()
    assert [each.logprobs for each in found[0]] == [each.logprobs for each in found[1]]
    assert {each.cached_tokens for each in found[1]} == {0}


def test_the_budget_is_kept_and_what_the_store_knew_is_charged_once() -> None:
    store, model = in_memory(TASK), make_model(knowing_engine(EXAMPLES))
    Scorer(model, TASK, store).outcomes(LONG, EXAMPLES[:10])
    scorer = Scorer(model, TASK, store, budget=12)
    scorer.outcomes(LONG, EXAMPLES[:10])
    assert (scorer.calls, scorer.computed) == (10, 0)
    with pytest.raises(EvolveError, match="10 prompts are to be scored, the budget leaves 2"):
        scorer.outcomes(LONG, EXAMPLES)
    model.close()


def test_a_calibration_needs_no_scores_of_its_own() -> None:
    model = make_model(knowing_engine(EXAMPLES))
    scorer = Scorer(model, TASK, in_memory(TASK))
    outcomes = scorer.outcomes(LONG, EXAMPLES)
    leaning = Variant("leaning", prompt=LONG.prompt, calibration={"good": -0.1, "bad": -2.0})
    assert scorer.missing(leaning, EXAMPLES) == 0
    assert scorer.outcomes(leaning, EXAMPLES) == outcomes
    model.close()


def test_generated_texts_are_scored_too() -> None:
    task = text_task(Variant("asked", prompt="Text: {{ text }}\nAnswer:"))
    model = make_model(scripted({"Answer:": " fine"}))
    [outcome] = Scorer(model, task, in_memory(task)).outcomes(task.variant("asked"), [Labelled({"text": "Hm"}, "fine")])
    assert (outcome.text, outcome.logprobs) == ("fine", ())
    model.close()
