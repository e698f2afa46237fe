"""Task files that are written mean the task, whatever stands in its texts; nothing is lost when that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_autoglm.constraints import Choice
from edge_autoglm.errors import TaskFileError, TemplateError
from edge_autoglm.prompts import Task, Variant, builtin_task_files, load_task
from edge_autoglm.prompts.guard.rules import Allowed, GuardRules, OutputRules
from edge_autoglm.prompts.retrieved import PassagesWanted, ShotsWanted
from edge_autoglm.prompts.rewrite.templates import escape
from edge_autoglm.prompts.task import GoldenQuestion
from edge_autoglm.prompts.versions import Version
from edge_autoglm.prompts.writing import task_yaml, write_task
from edge_autoglm.values import Message, SamplingParams

WEIRD = st.text(
    st.one_of(
        st.sampled_from("\n\r\t :-#'\"{}[]|>&*!%@`,?\\\x85\u2028\u2029\ufeff\x1b\x7f~=<"),
        st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
    ),
    min_size=1,
    max_size=30,
)
PLAIN = Variant("plain", prompt="{{ text }}")


def task_of(text: str, stop: str = "\n") -> Task:
    """A task with the text in every place that takes one."""
    source = escape(text)
    messages = (Message(role="system", content=source), Message(role="user", content=f"{source}{{{{ text }}}}"))
    chat = Variant(
        "chat",
        messages=messages,
        answer=source,
        description=text,
        made_by=(text, "calibrate: centred"),
        verbalizer={"yes": f"+{text}", "no": f"-{text}"},
        calibration={"yes": -0.25, "no": -1e-07},
        sampling=SamplingParams(max_new_tokens=7, temperature=1e-05, stop=(stop,), seed=3),
    )
    prompt = Variant("prompt", prompt=f"{source}{{{{ text }}}}{source}")
    golden = (GoldenQuestion({"text": text}, ("no",)),)
    probes = ({"text": text}, {"text": "x"})
    return Task(
        "mood", text, "classify", ("text",), ("yes", "no"), (PLAIN, chat, prompt), probes, "mood.yaml",
        (None, "yes"), golden, Version(1, 2, 3),
    )  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WEIRD, WEIRD)
@example("\n", "\n\n")
@example("ends\n\n", " ")
@example(" leads\nwith space", "x")
@example("one\n two\n\tthree ", "x")
@example("\x85 and \u2028", "\x85")
@example("---\n...\n- a: b # c", "null")
def test_weird_texts_come_back(tmp_path: Path, text: str, stop: str) -> None:
    comes_back(task_of(text, stop), tmp_path / "mood.yaml")


@pytest.mark.heavy
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WEIRD, WEIRD)
def test_many_weird_texts_come_back(tmp_path: Path, text: str, stop: str) -> None:
    comes_back(task_of(text, stop), tmp_path / "mood.yaml")


def comes_back(task: Task, path: Path) -> None:
    write_task(task, path)
    read = load_task(path)
    assert read == task
    assert read.fingerprint == task.fingerprint


@pytest.mark.parametrize("path", builtin_task_files(), ids=lambda path: path.stem)
def test_the_library_comes_back(path: Path, tmp_path: Path) -> None:
    task = load_task(path)
    write_task(task, tmp_path / path.name)
    assert load_task(tmp_path / path.name) == task


def test_everything_that_a_task_may_say_comes_back(tmp_path: Path) -> None:
    shots = "{% for shot in shots %}{{ shot.text }}{% endfor %}{{ passages | join }}{{ text }}"
    variant = Variant(
        "all", prompt=shots, shots=ShotsWanted(3, "recent"), passages=PassagesWanted(2), soft_prompt="tone-1"
    )
    guard = GuardRules(max_chars=9, allow={"text": Allowed(values=("a", "b\n"))}, output=OutputRules(forbid=(": x",)))
    golden = (GoldenQuestion({"text": "1 + 1"}, ("2", "two")),)
    task = Task(
        "ask", "Ask.", "generate", ("text",), (), (PLAIN, variant), ({"text": "a"}, {"text": "b"}), "ask.yaml",
        (None, None), golden, guard=guard,
    )  # fmt: skip
    write_task(task, tmp_path / "ask.yaml")
    assert load_task(tmp_path / "ask.yaml") == task


def test_people_can_read_it() -> None:
    text = task_yaml(load_task(next(path for path in builtin_task_files() if path.stem == "sentiment")))
    assert "  prompt: |\n    Review: {{ text }}\n    Sentiment:\n" in text
    assert "labels: [positive, negative]\n" in text
    assert "verbalizer: {positive: 正面, negative: 负面}\n" in text


@pytest.mark.parametrize(
    ("variant", "error", "problem"),
    [
        (Variant("v", prompt="{{ txt }}"), TemplateError, "undefined variable 'txt'"),
        (Variant("v", prompt="none"), TaskFileError, "never uses the input 'text'"),
        (Variant("v", prompt="{{ text }}", sampling=SamplingParams(constraint=Choice(["a"]))), TaskFileError, "Choice"),
        (Variant("v", prompt="{{ text }}", sampling=SamplingParams(min_new_tokens=2)), TaskFileError, "min_new_tokens"),
        (Variant("v", prompt="{{ text }} \ud800"), TaskFileError, "mood.yaml"),
        (Variant("v", prompt="{{ text }}", calibration={"yes": float("nan"), "no": 0.0}), TaskFileError, "calibration"),
    ],
)
def test_what_cannot_be_written_changes_nothing(
    variant: Variant, error: type[Exception], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "mood.yaml"
    path.write_text("as it was")
    with pytest.raises(error, match=problem):
        write_task(replace(task_of("fine"), variants=(PLAIN, variant)), path)
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match=r"mood.yaml: the file cannot be written: .*Check that .*nowhere exists"):
        write_task(task_of("fine"), tmp_path / "nowhere" / "mood.yaml")
