"""Solved examples and passages in templates: as values, in the order and number that the variant asks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_autoglm.errors import TaskFileError, TemplateError
from edge_autoglm.prompts import ChatRenderer, Task, load_task, render, static_prefix
from edge_autoglm.prompts.retrieved import NOTHING, PassagesWanted, Retrieved, Shot, ShotsWanted

LoadVariants = Callable[[str], Task]

SHOTS = """\
  - name: shots
    shots: {count: 3, select: %s, order: %s}
    prompt: "{%% for s in shots %%}{{ s.text }}={{ s.answer }};{%% endfor %%}{{ text }}="
    verbalizer: {happy: " glad"}
"""
PASSAGES = """\
  - name: passages
    passages: {count: 2%s}
    prompt: "{%% for p in passages %%}[{{ p }}]{%% endfor %%} {{ text }}"
"""
FOUND = Retrieved(
    shots=(Shot({"text": "near"}, "sad"), Shot({"text": "far"}, "happy"), Shot({"text": "farther"}, "sad")),
    passages=("best", "second", "third"),
)


def rendered(task: Task, name: str, found: Retrieved) -> str:
    return render(task, task.variant(name), {"text": "new"}, retrieved=found)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("nearest_last", "farther=sad;far=glad;near=sad;new="),
        ("nearest_first", "near=sad;far=glad;farther=sad;new="),
        ("by_label", "far=glad;farther=sad;near=sad;new="),
    ],
)
def test_shots_are_shown_in_the_order_that_is_wanted(load_variants: LoadVariants, order: str, expected: str) -> None:
    task = load_variants(SHOTS % ("similar", order))
    assert task.variant("shots").shots == ShotsWanted(3, "similar", order)  # type: ignore[arg-type]
    assert rendered(task, "shots", FOUND) == expected


@pytest.mark.parametrize(
    ("order", "expected"), [("", "[best][second] new"), (", order: best_last", "[second][best] new")]
)
def test_passages_are_shown_in_the_order_that_is_wanted(load_variants: LoadVariants, order: str, expected: str) -> None:
    assert rendered(load_variants(PASSAGES % order), "passages", FOUND) == expected


def test_with_nothing_retrieved_lists_are_empty(load_variants: LoadVariants) -> None:
    task = load_variants(SHOTS % ("similar", "nearest_last") + PASSAGES % "")
    assert rendered(task, "shots", NOTHING) == "new="
    assert rendered(task, "passages", NOTHING) == " new"
    assert task.variant("plain").passages is None
    assert task.variant("passages").passages == PassagesWanted(2)


def test_what_is_retrieved_is_never_template_source(load_variants: LoadVariants) -> None:
    task = load_variants(SHOTS % ("similar", "nearest_last"))
    found = Retrieved(shots=(Shot({"text": "{{ 7 * 7 }}{% raw %}"}, "happy"),))
    assert rendered(task, "shots", found) == "{{ 7 * 7 }}{% raw %}=glad;new="


def test_the_static_prefix_ends_where_the_first_shot_begins(load_variants: LoadVariants) -> None:
    variant = """\
  - name: shots
    shots: {count: 4}
    prompt: "Say how it was.\\n{% for s in shots %}Text: {{ s.text }} {{ s.label }}\\n{% endfor %}Text: {{ text }}"
"""
    task = load_variants(variant)
    assert static_prefix(task, task.variant("shots")) == "Say how it was.\nText: "


def test_the_static_prefix_of_a_chat_ends_where_passages_may_come(
    load_variants: LoadVariants, chat: ChatRenderer
) -> None:
    variant = """\
  - name: known
    passages: {count: 2}
    messages:
      - {role: user, content: "Read this:{% for p in passages %} [{{ p }}]{% endfor %} Question: {{ text }}"}
"""
    task = load_variants(variant)
    prefix = static_prefix(task, task.variant("known"), chat)
    assert prefix.endswith("Read this: ")
    for found in (NOTHING, FOUND):
        assert render(task, task.variant("known"), {"text": "Why?"}, chat, found).startswith(prefix)


def test_many_shots_in_a_branch_of_their_own_are_seen(load_variants: LoadVariants) -> None:
    variant = """\
  - name: shots
    shots: {count: 64}
    prompt: "Same.{% if shots | length == 64 %} Many{% else %} Few{% endif %} {{ text }}"
"""
    task = load_variants(variant)
    assert static_prefix(task, task.variant("shots")) == "Same. "


def test_order_counts_for_the_fingerprint(load_variants: LoadVariants) -> None:
    prints = {load_variants(SHOTS % ("similar", order)).fingerprint for order in ("nearest_last", "nearest_first")}
    assert len(prints) == 2


def test_the_farthest_are_dropped_first() -> None:
    texts = [(len(FOUND.less(n).shots), len(FOUND.less(n).passages)) for n in range(8)]
    assert texts == [(3, 3), (2, 3), (2, 2), (1, 2), (1, 1), (0, 1), (0, 0), (0, 0)]
    assert FOUND.less(4) == Retrieved(FOUND.shots[:1], FOUND.passages[:1])


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (SHOTS % ("nearest", "by_label"), r"mood.yaml: variants\[1\].shots.select is 'nearest' \(line \d+\)"),
        (SHOTS % ("similar", "sorted"), r"variants\[1\].shots.order is 'sorted' \(line \d+\)"),
        (SHOTS.replace("3", "0") % ("similar", "by_label"), r"variants\[1\].shots.count is 0 \(line \d+\)"),
        (SHOTS.replace("3", "65") % ("similar", "by_label"), "Write 1 to 64"),
        (PASSAGES % ", select: x", r"passages.select is an unknown key"),
        (SHOTS.replace("in shots", "in []") % ("random", "by_label"), r"\(shots\) never uses shots"),
        (PASSAGES.replace("in passages", "in []") % "", r"\(passages\) never uses passages"),
    ],
)
def test_mistakes_are_named_with_field_and_line(load_variants: LoadVariants, variant: str, said: str) -> None:
    with pytest.raises(TaskFileError, match=said):
        load_variants(variant)


def test_a_variant_that_declares_none_sees_none(load_variants: LoadVariants) -> None:
    with pytest.raises(TemplateError, match=r"undefined variable 'shots'.*Use only labels, text\."):
        load_variants('  - name: shots\n    prompt: "{{ shots }} {{ text }}"\n')


def test_a_template_that_fails_on_several_shots_fails_when_it_is_loaded(load_variants: LoadVariants) -> None:
    with pytest.raises(TemplateError, match="undefined"):
        load_variants('  - name: shots\n    shots: {count: 2}\n    prompt: "{{ shots[1].word }} {{ text }}"\n')


@pytest.mark.parametrize("field", ["select: balanced", "order: by_label"])
def test_what_needs_labels_is_refused_where_there_are_none(write_task: Callable[[str], object], field: str) -> None:
    content = f"""\
name: mood
description: d
kind: generate
inputs: [text]
variants:
  - name: plain
    prompt: "{{{{ text }}}}"
  - name: shots
    shots: {{count: 2, {field}}}
    prompt: "{{{{ shots }}}}{{{{ text }}}}"
probes: [{{text: a}}, {{text: b}}]
"""
    with pytest.raises(TaskFileError, match="the task has no labels"):
        load_task(write_task(content))  # type: ignore[arg-type]
