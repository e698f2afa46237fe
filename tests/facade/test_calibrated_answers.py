"""Label priors of a variant on the way of a request, and of the health check that must judge alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge_autoglm.facade.answering import Answer, submit_answer
from edge_autoglm.prompts import Task
from edge_autoglm.prompts.task import GoldenQuestion
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.swap.checks.answers import Probe, fault_of
from edge_autoglm.swap.checks.golden import is_right
from tests.swap.world import label_task, make_model

ASKED = {"text": "It was late."}


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    model = make_model()
    yield model
    model.close()


def with_priors(task: Task, **priors: float) -> Task:
    return replace(task, variants=tuple(replace(variant, calibration=priors) for variant in task.variants))


def answer(model: LanguageModel, task: Task) -> Answer:
    return submit_answer(model, task, task.variants[0], ASKED, Urgency()).result()


def test_a_prior_is_taken_off_and_can_turn_the_answer(model: LanguageModel) -> None:
    task = label_task()
    plain = answer(model, task)
    margin = plain.scores["good"] - plain.scores["bad"]
    turned = answer(model, with_priors(task, good=1.5 * margin, bad=0.0))
    assert turned.label != plain.label
    assert turned.scores["good"] - turned.scores["bad"] == pytest.approx(-0.5 * margin)
    assert sum(map(math.exp, turned.scores.values())) == pytest.approx(1.0)


def test_equal_priors_change_nothing(model: LanguageModel) -> None:
    equal = answer(model, with_priors(label_task(), good=math.log(0.5), bad=math.log(0.5)))
    assert equal.scores == pytest.approx(answer(model, label_task()).scores)


def test_golden_questions_and_probes_see_what_a_request_sees(model: LanguageModel) -> None:
    task = label_task()
    plain = answer(model, task)
    other = next(label for label in task.labels if label != plain.label)
    margin = plain.scores["good"] - plain.scores["bad"]
    for judged, right in ((task, plain.label), (with_priors(task, good=2 * margin, bad=0.0), other)):
        questions = {label: GoldenQuestion(ASKED, (label,)) for label in task.labels}
        verdicts = {label: is_right(model, judged, judged.variants[0], each, 8) for label, each in questions.items()}
        assert verdicts == {label: label == right for label in task.labels}
    broken = with_priors(task, good=math.inf, bad=0.0)
    fault = fault_of(model, Probe(broken, broken.variants[0], 1, ASKED), 8)
    assert fault is not None
    assert fault.cause == "label good has log-probability -inf"
