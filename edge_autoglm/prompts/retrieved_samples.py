"""What may be retrieved for a request: none, one or several of it, in texts of many kinds, to try templates with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from edge_autoglm.prompts.retrieved import NOTHING, Retrieved, Shot
from edge_autoglm.prompts.task import Task, Variant

_FEW = 2
_SHORT = 12
"""Of the texts, the first ones are short: many at a time are made of them only, so that trying stays cheap."""


def retrieved_samples(task: Task, variant: Variant, texts: Sequence[str]) -> Iterator[Retrieved]:
    """Different ones, none of them larger than the variant asks for; without end.

    Args:
        task: Whose inputs and labels the examples have.
        variant: What it does not declare stays empty.
        texts: That inputs, answers and passages are made of.
    """
    shots = 0 if variant.shots is None else variant.shots.count
    passages = 0 if variant.passages is None else variant.passages.count
    if not shots and not passages:
        while True:
            yield NOTHING
    sizes = sorted({0, 1, 2, shots, passages})
    for turn in count():
        size = sizes[turn % len(sizes)]
        some = texts if size <= _FEW else texts[:_SHORT]
        yield Retrieved(
            tuple(_shot(task, some, turn + place) for place in range(min(size, shots))),
            tuple(some[(3 * turn + place) % len(some)] for place in range(min(size, passages))),
        )


def _shot(task: Task, texts: Sequence[str], number: int) -> Shot:
    inputs = {name: texts[(number + 5 * place) % len(texts)] for place, name in enumerate(task.inputs)}
    answers = task.labels or texts
    return Shot(inputs, answers[number % len(answers)])
