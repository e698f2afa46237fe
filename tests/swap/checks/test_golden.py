from __future__ import annotations

from dataclasses import replace

import pytest

from edge_autoglm.prompts import Catalogue
from edge_autoglm.prompts.task import GoldenQuestion
from edge_autoglm.swap.checks.golden import GoldenScore, ask_golden, is_right
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import HealthPolicy, check
from tests.swap.world import (
    TOKENIZER,
    HookedEngine,
    TokenCounter,
    asking,
    first_generation,
    label_task,
    lookalike,
    make_model,
    next_generation,
    scripted,
    text_task,
)

QUESTIONS = tuple(GoldenQuestion({"text": text}, ("fine", "well")) for text in ("It was late.", "No, thanks."))
ASKED = asking("asked", "Say how it was.")


def catalogue(*variants: object, golden: tuple[GoldenQuestion, ...] = QUESTIONS) -> Catalogue:
    return Catalogue([replace(text_task(*(variants or (ASKED,))), golden=golden)])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def active() -> Generation:
    return first_generation(catalogue=catalogue())


def scores(candidate: Generation, active: Generation) -> list[GoldenScore]:
    return ask_golden(candidate, active, active.model, 8, 16)


def test_a_model_that_forgot_the_answers_is_found(active: Generation) -> None:
    candidate = next_generation(active, model=make_model(lookalike({"Answer:": "gone"})))
    [score] = scores(candidate, active)
    assert (score.task, score.asked, score.right, score.right_now) == ("reply", 4, 0, 2)
    assert score.drop == 0.5
    report = check(candidate, active, HealthPolicy(max_latency_ratio=None, max_kl=None))
    assert report.reasons == (
        "golden questions of task reply: 0 of 4 right, 2 by the active generation; a drop of 0.5 is above "
        "max_golden_drop 0.1",
    )
    assert check(candidate, active, HealthPolicy(max_latency_ratio=None, max_kl=None, max_golden_drop=0.5)).passed


def test_what_the_active_generation_fails_too_is_not_held_against_a_candidate() -> None:
    hard = (GoldenQuestion({"text": "Who wrote it?"}, ("Goethe",)),)
    active = first_generation(catalogue=catalogue(golden=hard))
    [score] = scores(next_generation(active, model=make_model(lookalike())), active)
    assert (score.right, score.right_now, score.drop) == (0, 0, 0.0)


def test_nothing_is_asked_where_answers_cannot_have_changed() -> None:
    counter = TokenCounter()
    active = first_generation(make_model(HookedEngine(scripted(), counter)), catalogue())
    candidate = next_generation(active)
    counter.tokens = 0
    assert scores(candidate, active) == []
    assert counter.tokens == 0


def test_a_new_variant_is_held_against_the_plain_one_and_a_changed_one_against_what_it_was(active: Generation) -> None:
    mute = asking("asked", "Say how it was.", ending="Silence:")
    [score] = scores(next_generation(active, catalogue=catalogue(mute)), active)
    assert (score.asked, score.right, score.right_now) == (2, 0, 2)
    fresh = asking("fresh", "How was it?")
    [score] = scores(next_generation(active, catalogue=catalogue(ASKED, fresh)), active)
    assert (score.asked, score.right, score.right_now) == (2, 2, 0)


def test_leaving_the_questions_out_does_not_avoid_them(active: Generation) -> None:
    mute = asking("asked", "Say how it was.", ending="Silence:")
    [score] = scores(next_generation(active, catalogue=catalogue(mute, golden=())), active)
    assert (score.asked, score.right, score.right_now) == (2, 0, 2)


def test_questions_that_a_task_cannot_be_asked_any_more_are_left_out(active: Generation) -> None:
    changed = replace(text_task(replace(ASKED, prompt="{{ words }} Answer:")), inputs=("words",))
    plain = replace(changed.variants[0], prompt="{{ words }}")
    task = replace(changed, variants=(plain, changed.variants[1]), probes=({"words": "a"}, {"words": "b"}))
    assert scores(next_generation(active, catalogue=Catalogue([task])), active) == []


def test_a_label_is_right_if_it_is_the_most_probable() -> None:
    task, model = label_task(), make_model()
    plain = task.variant("plain")
    answers = [
        is_right(model, task, plain, GoldenQuestion({"text": "It rained."}, (label,)), 1) for label in task.labels
    ]
    assert sorted(answers) == [False, True]


def test_an_expected_text_may_stand_anywhere_in_the_answer_in_any_case() -> None:
    model = make_model(scripted({"Answer:": "I am FINE"}))
    task = text_task(ASKED)
    assert is_right(model, task, ASKED, GoldenQuestion({"text": "x"}, ("bad", "fine")), 16)
    assert not is_right(model, task, ASKED, GoldenQuestion({"text": "x"}, ("bad",)), 16)
    assert not is_right(model, task, ASKED, GoldenQuestion({"text": "x"}, ("fine",)), 1), "cut before it comes"


def test_a_question_that_cannot_be_asked_is_answered_wrong() -> None:
    task = text_task(ASKED)
    assert not is_right(make_model(), task, ASKED, GoldenQuestion({"text": "word " * 999}, ("fine",)), 16)
    assert len(TOKENIZER.encode("word " * 999)) > make_model().engine.facts.capacity
