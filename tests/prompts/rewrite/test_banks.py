"""The data files: complete, well-formed, and enough to choose from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from edge_autoglm.prompts import builtin_task_files, load_task
from edge_autoglm.prompts.rewrite.bank import bank

LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])


def leaves(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value)
    else:
        yield node


@LANGUAGES
def test_all_phrases_are_texts_with_known_marks(language: str) -> None:
    known = {"labels", "options", "first", "answer", "input", "description", "name", "value"}
    for leaf in leaves(bank(language).data):
        assert isinstance(leaf, str), f"{leaf!r}: quote it"
        assert set(re.findall(r"\{(.*?)\}", leaf)) <= known


@LANGUAGES
def test_there_is_enough_to_choose_from_and_nothing_twice(language: str) -> None:
    phrases = bank(language)
    lists = [
        phrases.texts("classify", section)
        for section in ("words", "yes_no", "letters", "questions", "systems", "lead_ins", "steps")
    ]
    lists += [phrases.texts("generate", section) for section in ("instructions", "systems", "lead_ins", "steps")]
    assert all(len(set(each)) == len(each) > 2 for each in lists)
    assert len(phrases.texts("classify", "words")) >= 20
    assert len(phrases.texts("generate", "instructions")) >= 20
    assert all("{options}" in each for each in phrases.texts("classify", "letters"))
    assert all("{first}" in each for each in phrases.texts("classify", "yes_no"))


@LANGUAGES
def test_every_layout_has_one_place_for_the_value_behind_the_name(language: str) -> None:
    for pair in bank(language).texts("layouts"):
        assert pair.count("{value}") == 1
        assert 0 <= pair.index("{name}") < pair.index("{value}")


@LANGUAGES
def test_every_built_in_task_has_a_topic_of_its_kind_and_names(language: str) -> None:
    nouns = {}
    for task in map(load_task, builtin_task_files()):
        topic = bank(language).topic(task)
        nouns[task.name] = topic.noun
        assert len(topic.cues) >= 4
        assert all(bank(language).names(name) for name in task.inputs)
    assert nouns["sentiment"] == nouns["sentiment_zh"] == {"en": "sentiment", "zh": "情感"}[language]
    assert nouns["summarize"] == {"en": "summary", "zh": "摘要"}[language]


def test_a_field_without_an_entry_is_called_by_its_own_name() -> None:
    assert bank("en").names("shopping_list")[0] == "Shopping list"
    assert bank("en").names("user_question")[0] == "Question"


def test_words_for_labels_are_aligned() -> None:
    assert {"negative": "bad", "positive": "good"} in bank("en").columns(["negative", "positive"])
    assert {"Positive": "正面", "Negative": "负面"} in bank("zh").columns(["Positive", "Negative"])
    assert bank("en").columns(["red", "blue"]) == ()
