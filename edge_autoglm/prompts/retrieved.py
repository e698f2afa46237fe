"""Solved examples and passages that a request brings to its templates, and how a variant asks for them.

A variant that declares one of these fields gets the variable of that name::

    shots: {count: 4, select: similar, order: nearest_last}
    passages: {count: 2, order: best_first}

``shots`` is a list of mappings: the task's inputs, ``answer`` (the text that stands for the label, or the answer
itself) and, where the task classifies, ``label``. ``passages`` is a list of texts. Either may be shorter than asked
for, or empty. Two variants that differ in number or order only are two arms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, cast, get_args

from edge_autoglm.prompts.fields import Field

ShotChoice = Literal["similar", "recent", "random", "balanced"]
ShotOrder = Literal["nearest_last", "nearest_first", "by_label"]
PassageOrder = Literal["best_first", "best_last"]

SHOTS: Final = "shots"
PASSAGES: Final = "passages"
ANSWER: Final = "answer"
LABEL: Final = "label"

MOST_SHOTS = 64
MOST_PASSAGES = 32


@dataclass(frozen=True, slots=True)
class ShotsWanted:
    """Which solved examples a variant shows.

    Attributes:
        count: At most so many.
        select: ``similar`` to the request, the most ``recent``, at ``random`` (the same ones for the same request), or
            ``balanced``: similar ones, every label as often as the others.
        order: ``nearest_last`` puts the first choice right before the request; ``by_label`` groups them in the order
            of the task's labels.
    """

    count: int
    select: ShotChoice = "similar"
    order: ShotOrder = "nearest_last"


@dataclass(frozen=True, slots=True)
class PassagesWanted:
    """Which passages of the app's documents a variant shows.

    Attributes:
        count: At most so many.
        order: Whether the best one comes first or last.
    """

    count: int
    order: PassageOrder = "best_first"


@dataclass(frozen=True, slots=True)
class Shot:
    """A solved example.

    Attributes:
        inputs: The task's inputs by name.
        answer: The label of a classification task, or the text of another.
    """

    inputs: Mapping[str, str]
    answer: str


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found for a request; the best first in both.

    Attributes:
        shots: Solved examples of its task.
        passages: Texts.
    """

    shots: tuple[Shot, ...] = ()
    passages: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.shots) + len(self.passages)

    def less(self, dropped: int) -> Retrieved:
        """Without so many of them: the last one of whatever there is more of, again and again."""
        shots, passages = len(self.shots), len(self.passages)
        for _ in range(min(dropped, len(self))):
            if shots >= passages:
                shots -= 1
            else:
                passages -= 1
        return replace(self, shots=self.shots[:shots], passages=self.passages[:passages])


NOTHING: Final = Retrieved()


def variables(
    found: Retrieved,
    labels: Sequence[str],
    verbalizer: Mapping[str, str],
    shots: ShotsWanted | None,
    passages: PassagesWanted | None,
) -> dict[str, object]:
    """The template's variables: those that the variant declares, in the order that it wants.

    Args:
        found: For the request.
        labels: Of the task; none where it generates text.
        verbalizer: Of the variant.
        shots: What the variant declares; ``None`` for nothing.
        passages: Likewise.
    """
    defined: dict[str, object] = {}
    if shots is not None:
        ordered = _ordered(found.shots[: shots.count], shots.order, labels)
        defined[SHOTS] = [_shown(shot, labels, verbalizer) for shot in ordered]
    if passages is not None:
        best_first = list(found.passages[: passages.count])
        defined[PASSAGES] = best_first if passages.order == "best_first" else best_first[::-1]
    return defined


def read_shots(field: Field, labels: Sequence[str], inputs: Sequence[str]) -> ShotsWanted:
    """A variant's field ``shots``.

    Raises:
        TaskFileError: A part of it is missing, unknown or out of range, or needs labels that the task has not.
    """
    parts = field.mapping(required=("count",), optional=("select", "order"))
    for name in (ANSWER, LABEL):
        if name in inputs:
            raise field.error(f"cannot be shown, since the task has an input {name!r}", "Give that another name.")
    select = _one_of(parts["select"], get_args(ShotChoice)) if "select" in parts else "similar"
    order = _one_of(parts["order"], get_args(ShotOrder)) if "order" in parts else "nearest_last"
    for key, value in (("select", "balanced"), ("order", "by_label")):
        if not labels and {"select": select, "order": order}[key] == value:
            raise parts[key].error(f"is {value!r}, and the task has no labels", "Choose another way.")
    count = _count(parts["count"], MOST_SHOTS)
    return ShotsWanted(count, cast("ShotChoice", select), cast("ShotOrder", order))


def read_passages(field: Field) -> PassagesWanted:
    """A variant's field ``passages``.

    Raises:
        TaskFileError: A part of it is missing, unknown or out of range.
    """
    parts = field.mapping(required=("count",), optional=("order",))
    order = _one_of(parts["order"], get_args(PassageOrder)) if "order" in parts else "best_first"
    return PassagesWanted(_count(parts["count"], MOST_PASSAGES), cast("PassageOrder", order))


def _shown(shot: Shot, labels: Sequence[str], verbalizer: Mapping[str, str]) -> dict[str, str]:
    if not labels:
        return {**shot.inputs, ANSWER: shot.answer}
    return {**shot.inputs, LABEL: shot.answer, ANSWER: verbalizer.get(shot.answer, shot.answer).strip()}


def _ordered(nearest_first: Sequence[Shot], order: ShotOrder, labels: Sequence[str]) -> list[Shot]:
    if order == "nearest_first":
        return list(nearest_first)
    nearest_last = list(nearest_first)[::-1]
    if order == "nearest_last":
        return nearest_last
    return sorted(nearest_last, key=lambda shot: labels.index(shot.answer))


def _count(field: Field, most: int) -> int:
    count = field.integer()
    if not 1 <= count <= most:
        raise field.error(f"is {count}", f"Write 1 to {most}; leave the field out for none.")
    return count


def _one_of(field: Field, names: Sequence[str]) -> str:
    text = field.text()
    if text not in names:
        raise field.error(f"is {text!r}", f"Write one of {', '.join(names)}.")
    return text
