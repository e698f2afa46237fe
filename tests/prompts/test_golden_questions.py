from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_autoglm.errors import TaskFileError
from edge_autoglm.prompts import load_task
from edge_autoglm.prompts.task import GoldenQuestion
from tests.prompts.task_texts import HEADER, PLAIN, PROBES

Write = Callable[[str], Path]

SECOND = PLAIN.replace("plain", "second")
CLASSIFY = f"{HEADER}variants:\n{PLAIN}{SECOND}{PROBES}"
GENERATE = CLASSIFY.replace("kind: classify", "kind: generate").replace("labels: [happy, sad]\n", "")
GENERATE = GENERATE.replace(", expect: happy", "")


def test_questions_of_both_kinds_of_task(write_task: Write) -> None:
    task = load_task(write_task(CLASSIFY + "golden:\n  - {text: Hurrah!, expect: happy}\n"))
    assert task.golden == (GoldenQuestion({"text": "Hurrah!"}, ("happy",)),)
    golden = "golden:\n  - {text: The capital of France, expect: Paris}\n  - {text: 1 + 1, expect: [two, 2]}\n"
    task = load_task(write_task(GENERATE + golden))
    assert [question.expect for question in task.golden] == [("Paris",), ("two", "2")]


def test_they_do_not_change_what_a_task_answers(write_task: Write) -> None:
    without = load_task(write_task(CLASSIFY))
    assert without.golden == ()
    asked = load_task(write_task(CLASSIFY + "golden:\n  - {text: Hurrah!, expect: happy}\n"))
    assert asked.fingerprint == without.fingerprint


@pytest.mark.parametrize(
    ("content", "question", "problem"),
    [
        (CLASSIFY, "{text: Hurrah!}", r"golden\[0\] has no expect"),
        (CLASSIFY, "{text: Hurrah!, expect: glad}", r"golden\[0\].expect is 'glad'"),
        (CLASSIFY, "{text: Hurrah!, expect: [happy]}", r"golden\[0\].expect is a list"),
        (CLASSIFY, "{expect: happy}", r"golden\[0\] has no text"),
        (CLASSIFY, "{text: Hurrah!, expect: happy, why: x}", r"golden\[0\].why is an unknown key"),
        (GENERATE, "{text: Hurrah!, expect: []}", r"golden\[0\].expect has 0 elements"),
        (GENERATE, "{text: Hurrah!, expect: ''}", r"golden\[0\].expect is empty"),
    ],
)
def test_mistakes_are_named(write_task: Write, content: str, question: str, problem: str) -> None:
    with pytest.raises(TaskFileError, match=rf"mood\.yaml: {problem}"):
        load_task(write_task(f"{content}golden:\n  - {question}\n"))


def test_a_question_that_a_variant_renders_to_nothing_is_refused(write_task: Write) -> None:
    picky = "  - name: picky\n    prompt: \"{% if text != 'Hurrah!' %}{{ text }}{% endif %}\"\n"
    content = f"{HEADER}variants:\n{PLAIN}{picky}{PROBES}golden:\n  - {{text: Hurrah!, expect: happy}}\n"
    with pytest.raises(TaskFileError, match="renders an example to nothing"):
        load_task(write_task(content))
