"""The built-in tasks, and looking tasks up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_autoglm.errors import TaskFileError, UnknownTask
from edge_autoglm.prompts import PLAIN, Catalogue, ChatRenderer, Task, builtin_task_files, label_texts, render

BUILTIN = Catalogue.load(builtin_task_files())


def test_the_builtin_tasks() -> None:
    assert BUILTIN.names == (
        "ask",
        "sentiment",
        "sentiment_zh",
        "summarize",
        "summarize_zh",
        "topic",
        "translate_en_zh",
        "translate_zh_en",
    )
    assert [task.name for task in BUILTIN.tasks if task.kind == "classify"] == ["sentiment", "sentiment_zh", "topic"]


def test_sentiment_has_at_least_eight_variants_of_both_styles() -> None:
    variants = BUILTIN.task("sentiment").variants
    assert len(variants) >= 8
    assert {variant.prompt is None for variant in variants} == {True, False}


@pytest.mark.parametrize("task", BUILTIN.tasks, ids=lambda task: task.name)
def test_variants_of_a_task_differ_and_plain_adds_no_engineering(task: Task, chat: ChatRenderer) -> None:
    asked = {(render(task, variant, task.probes[0], chat), variant.sampling) for variant in task.variants}
    assert len(asked) == len(task.variants)
    plain = task.variant(PLAIN)
    assert plain.answer is None
    assert len(plain.messages or ()) <= 1
    assert len(render(task, plain, dict.fromkeys(task.inputs, "x"))) < 30 if plain.prompt else True


@pytest.mark.parametrize("task", BUILTIN.tasks, ids=lambda task: task.name)
def test_label_texts_differ_and_are_spaced(task: Task, chat: ChatRenderer) -> None:
    for variant in task.variants:
        prompt = render(task, variant, task.probes[0], chat)
        texts = label_texts(task, variant, prompt)
        assert list(texts) == list(task.labels)
        assert len(set(texts.values())) == len(task.labels)
        for text in texts.values():
            assert text.isascii() is False or text.startswith(" ") != prompt[-1].isspace()


def test_every_builtin_file_is_named_after_its_task() -> None:
    assert [task.file for task in BUILTIN.tasks] == [f"{task.name}.yaml" for task in BUILTIN.tasks]


def test_an_unknown_task_lists_those_there_are() -> None:
    with pytest.raises(UnknownTask, match=r"there is no task 'sentimental'\. Name one of: ask, sentiment, "):
        BUILTIN.task("sentimental")
    with pytest.raises(UnknownTask, match="Add task files"):
        Catalogue([]).task("sentiment")


def test_two_files_with_the_same_task_are_an_error(write_task: Callable[[str], Path]) -> None:
    twin = write_task(builtin_task_files()[0].read_text(encoding="utf-8"))
    with pytest.raises(TaskFileError, match=r"mood\.yaml: name 'ask' is the name of ask\.yaml too"):
        Catalogue.load([*builtin_task_files(), twin])
