"""Few-shot: how many solved examples, which, and in which order. They come from the material and from nowhere else."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from edge_autoglm.prompts.rewrite.compose import Change
from edge_autoglm.prompts.rewrite.draft import Labelled, Material
from edge_autoglm.prompts.rewrite.form import Form, Shot
from edge_autoglm.prompts.task import Task
from edge_autoglm.prompts.text import unusable

_MOST = 16
_LONGEST = 600
"""Characters of an example: a small model loses the thread in longer ones."""

_CONTROL_TOKEN = re.compile(
    r"<\|.*?\|>|<</?SYS>>|\[/?(?:INST|s?g?MASK|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\]"
    r"|</?(?:s|bos|eos|pad|unk|sop|eop|think|tool_call|tool_response|(?:start|end)_of_turn)>"
)
"""What chat templates spell control tokens with. An example becomes part of a template, where nothing shields it."""


def shots(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Other examples: balanced over the labels, at random, or the shortest; or none.

    None of them to a form that reasons: their answers give no reasons.
    """
    known = [] if form.method else usable(material)
    for number in _numbers(material.task, len(known)):
        for how, rows in _choices(material, known, number, rng):
            detail = f"{len(rows)} {how} (examples {', '.join(str(row + 1) for row in rows)})"
            yield detail, replace(form, shots=tuple(_shot(material, row) for row in rows))
    if form.shots:
        yield "none", replace(form, shots=(), turns=False)


def shot_order(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """The same examples in another order."""
    if len(form.shots) < 2:
        return
    yield "reversed", replace(form, shots=form.shots[::-1])
    for _ in range(3):
        yield "shuffled", replace(form, shots=tuple(rng.sample(form.shots, len(form.shots))))
    for names, labels in (("labels", material.task.labels), ("labels, the last first", material.task.labels[::-1])):
        if labels:
            ordered = sorted(form.shots, key=lambda shot: labels.index(shot.answer))
            yield f"in the order of the {names}", replace(form, shots=tuple(ordered))
            yield f"the {names} in turn", replace(form, shots=_in_turn(ordered, labels))


def usable(material: Material) -> list[int]:
    """Rows of the material that may be shown to the model.

    Not those that are golden questions (they would make the health check's answers known), that do not fit the task, or
    that spell a control token.
    """
    golden = [question.inputs for question in material.task.golden]
    rows = enumerate(material.examples)
    return [row for row, example in rows if dict(example.inputs) not in golden and _fits(example, material.task)]


def _fits(example: Labelled, task: Task) -> bool:
    texts = (*example.inputs.values(), example.expect)
    return (
        set(example.inputs) == set(task.inputs)
        and (not task.labels or example.expect in task.labels)
        and all(text.strip() and unusable(text) is None and not _CONTROL_TOKEN.search(text) for text in texts)
        and sum(map(len, texts)) <= _LONGEST
    )


def _numbers(task: Task, known: int) -> list[int]:
    """How many examples to show: whole rounds over the labels of a few, some of many."""
    labels = len(task.labels)
    wanted = [1, 2, 3, 5] if not labels else [labels * rounds for rounds in (1, 2, 4)]
    if labels > 2:
        wanted += [2, 4, 8]
    return sorted({number for number in wanted if 0 < number <= min(known, _MOST)})


def _choices(
    material: Material, known: Sequence[int], number: int, rng: random.Random
) -> Iterator[tuple[str, list[int]]]:
    labels = material.task.labels
    if labels and number % len(labels) == 0:
        for _ in range(2):
            rows = _balanced(material, known, number // len(labels), rng)
            yield "balanced over the labels", rng.sample(rows, len(rows))
    yield "at random", rng.sample(list(known), number)
    shortest = sorted(known, key=lambda row: (sum(map(len, material.examples[row].inputs.values())), row))
    yield "of the shortest", rng.sample(shortest[: 3 * number], number)


def _balanced(material: Material, known: Sequence[int], each: int, rng: random.Random) -> list[int]:
    """As many rows of each label as there are, up to ``each``."""
    by_label = [[row for row in known if material.examples[row].expect == label] for label in material.task.labels]
    return [row for rows in by_label for row in rng.sample(rows, min(each, len(rows)))]


def _shot(material: Material, row: int) -> Shot:
    example = material.examples[row]
    return Shot(tuple((name, example.inputs[name]) for name in material.task.inputs), example.expect)


def _in_turn(ordered: Sequence[Shot], labels: Sequence[str]) -> tuple[Shot, ...]:
    """One of each label, then the next of each."""
    ranks = dict.fromkeys(labels, 0)
    keys = []
    for shot in ordered:
        keys.append((ranks[shot.answer], labels.index(shot.answer)))
        ranks[shot.answer] += 1
    return tuple(shot for _, shot in sorted(zip(keys, ordered, strict=True), key=lambda pair: pair[0]))
