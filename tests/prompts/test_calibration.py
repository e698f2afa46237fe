"""Label priors: what they do to scores, how they are estimated, and how a task file gives them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import PromptError, TaskFileError
from edge_autoglm.prompts import Task, Variant, load_task
from edge_autoglm.prompts.calibration import calibrated, centred_priors, content_free_inputs, contextual_priors
from tests.prompts.rewrite.drafts import Chat, question, sentiment
from tests.prompts.task_texts import HEADER, PLAIN, PROBES

LABELS = ("positive", "negative")
ROWS = st.lists(st.tuples(st.floats(-30, 0), st.floats(-30, 0)), min_size=1, max_size=8)
LoadVariants = Callable[[str], Task]


def leaning(**priors: float) -> Variant:
    return Variant("leaning", prompt="{{ text }}", calibration=priors)


def test_priors_are_taken_off_by_label_not_by_place() -> None:
    task = sentiment()
    scores = calibrated(task, leaning(negative=math.log(0.9), positive=math.log(0.1)), [math.log(0.3), math.log(0.7)])
    assert np.exp(scores) == pytest.approx([3.0, 0.7 / 0.9])
    assert int(scores.argmax()) == 0
    assert list(calibrated(task, task.variants[0], [-1.0, -2.0])) == [-1.0, -2.0]


def test_the_worked_example_of_contextual_calibration() -> None:
    # Two content-free inputs with p(positive) 0.6 and 0.8: the prior is 0.7, so p = 0.7 is a draw.
    rows = [[math.log(0.06), math.log(0.04)], [math.log(0.8), math.log(0.2)]]
    priors = contextual_priors(LABELS, rows)
    assert priors == pytest.approx({"positive": math.log(0.7), "negative": math.log(0.3)}, abs=1e-6)
    draw = calibrated(sentiment(), leaning(**priors), [math.log(0.7), math.log(0.3)])
    assert draw[0] == pytest.approx(draw[1], abs=1e-6)


@given(ROWS)
def test_centred_scores_have_equal_means(rows: list[tuple[float, float]]) -> None:
    variant = leaning(**centred_priors(LABELS, rows))
    means = np.mean([calibrated(sentiment(), variant, row) for row in rows], axis=0)
    assert means[0] == pytest.approx(means[1], abs=1e-5)


@given(ROWS)
@pytest.mark.parametrize("estimate", [contextual_priors, centred_priors])
def test_priors_sum_to_one_and_do_not_depend_on_how_probable_all_labels_are(
    estimate: Callable[..., dict[str, float]], rows: list[tuple[float, float]]
) -> None:
    priors = estimate(LABELS, rows)
    assert sum(map(math.exp, priors.values())) == pytest.approx(1.0, abs=1e-5)
    assert estimate(LABELS, [[score - 5.0 for score in row] for row in rows]) == pytest.approx(priors, abs=2e-6)


def test_a_label_that_is_all_but_impossible_has_a_finite_prior() -> None:
    assert all(map(math.isfinite, contextual_priors(LABELS, [[0.0, -2000.0]]).values()))


@pytest.mark.parametrize("rows", [[], [[-1.0]], [[-1.0, math.nan]], [[-1.0, -math.inf]], [-1.0, -2.0]])
def test_rows_that_are_no_scores_are_refused(rows: list[list[float]]) -> None:
    with pytest.raises(PromptError, match="label priors need rows of 2 finite scores"):
        contextual_priors(LABELS, rows)


def test_content_free_inputs_are_those_that_ask_something(chat: Chat) -> None:
    task = sentiment()
    assert content_free_inputs(task, task.variant("plain")) == ({"text": "N/A"}, {"text": "[MASK]"})
    assert content_free_inputs(task, task.variant("review"))[-1] == {"text": ""}
    assert len(content_free_inputs(question(), question().variant("plain"), chat)) == 3


def test_a_task_file_gives_them_and_they_decide_answers(load_variants: LoadVariants) -> None:
    text = "  - name: other\n    prompt: '{{ text }}!'\n    calibration: {sad: -1, happy: -0.25}\n    made_by: [a, b]\n"
    task = load_variants(text)
    other = task.variant("other")
    assert other.calibration == {"happy": -0.25, "sad": -1.0}
    assert other.made_by == ("a", "b")
    without = load_variants(text.replace("    calibration: {sad: -1, happy: -0.25}\n", ""))
    assert without.fingerprint != task.fingerprint
    made_otherwise = replace(task, variants=(task.variants[0], replace(other, made_by=())))
    assert made_otherwise.fingerprint == task.fingerprint


@pytest.mark.parametrize(
    ("calibration", "problem"),
    [
        ("{happy: -1}", "variants[1].calibration has no prior for sad (line 11)"),
        ("{happy: -1, sad: -1, mad: -1}", "variants[1].calibration.mad is not one of the labels (line 11)"),
        ("{happy: -1, sad: .nan}", "variants[1].calibration.sad is .nan (float) (line 11)"),
        ("{happy: -1, sad: 1.0e+400}", "variants[1].calibration.sad is inf (line 11)"),
        ("{happy: -1, sad: low}", "variants[1].calibration.sad is the text 'low' (line 11)"),
        ("[-1, -1]", "variants[1].calibration is a list (line 11)"),
    ],
)
def test_mistakes_name_file_line_and_field(load_variants: LoadVariants, calibration: str, problem: str) -> None:
    with pytest.raises(TaskFileError) as caught:
        load_variants(f"  - name: other\n    prompt: '{{{{ text }}}}!'\n    calibration: {calibration}\n")
    assert f"mood.yaml: {problem}" in str(caught.value)


def test_a_task_without_labels_has_no_priors(write_task: Callable[[str], Path]) -> None:
    header = HEADER.replace("kind: classify", "kind: generate").replace("labels: [happy, sad]\n", "")
    variants = f"variants:\n{PLAIN}  - name: other\n    prompt: '{{{{ text }}}}!'\n    calibration: {{happy: -1}}\n"
    content = f"{header}{variants}{PROBES.replace(', expect: happy', '')}"
    with pytest.raises(TaskFileError, match=r"variants\[1\].calibration is given for a task that generates text"):
        load_task(write_task(content))
