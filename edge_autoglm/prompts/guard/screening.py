"""The inputs of a request as the guard lets them through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_autoglm.errors import InputRejected
from edge_autoglm.prompts.guard.allowing import disallowed
from edge_autoglm.prompts.guard.bidi import misleading, without_direction_controls
from edge_autoglm.prompts.guard.characters import first_control, first_hidden, without_control, without_hidden
from edge_autoglm.prompts.guard.lookalikes import first_lookalike
from edge_autoglm.prompts.guard.reasons import Reason, Refusal
from edge_autoglm.prompts.render import check_inputs
from edge_autoglm.prompts.task import Task
from edge_autoglm.prompts.text import unusable

_SHORTEN = "Shorten it, or raise guard.max_chars in the task file."


@dataclass(frozen=True, slots=True)
class Screened:
    """What became of a request's inputs.

    Attributes:
        inputs: As they are let through: the very texts, unless characters were dropped.
        refusal: Why they are not; ``None`` if they are.
        dropped: Kinds of characters that were taken out.
        flagged: What is worth counting, and changes nothing.
    """

    inputs: Mapping[str, str]
    refusal: Refusal | None = None
    dropped: tuple[Reason, ...] = ()
    flagged: tuple[Reason, ...] = ()


def screen(task: Task, inputs: Mapping[str, str]) -> Screened:
    """Judge a request. Time is linear in its length, and what is too long is not looked at."""
    refusal = _misshapen(task, inputs)
    passed: dict[str, str] = {}
    dropped: list[Reason] = []
    flagged: list[Reason] = []
    for name, text in inputs.items():
        if refusal is not None:
            return Screened(inputs, refusal)
        passed[name], refusal = _cleaned(task, name, text, dropped)
        if refusal is None and first_lookalike(passed[name]) is not None:
            flagged.append(Reason.LOOKALIKES)
        if refusal is None:
            refusal = _restricted(task, name, passed[name])
    if refusal is not None:
        return Screened(inputs, refusal)
    return Screened(passed if dropped else inputs, None, tuple(dict.fromkeys(dropped)), tuple(dict.fromkeys(flagged)))


def _misshapen(task: Task, inputs: Mapping[str, str]) -> Refusal | None:
    """Refuse what has the wrong names or types, is too long, or no text; in that order."""
    limit = task.guard.max_chars
    given: Mapping[str, object] = inputs  # an app can hand over anything
    for name, text in given.items():
        if isinstance(text, (bytes, bytearray)):
            cause = f"input {name!r} of task {task.name} is bytes, not a text"
            return Refusal(Reason.INPUTS, cause, "Decode it first, as data.decode('utf-8', errors='replace').")
        if isinstance(text, str) and len(text) > limit:
            cause = f"input {name!r} of task {task.name} has {len(text)} characters, {limit} are allowed"
            return Refusal(Reason.LENGTH, cause, _SHORTEN)
    try:
        check_inputs(task, inputs)
    except InputRejected as error:
        unreadable = any(isinstance(text, str) and unusable(text) is not None for text in given.values())
        return Refusal(Reason.ENCODING if unreadable else Reason.INPUTS, error.cause, error.cure)
    return None


def _cleaned(task: Task, name: str, text: str, dropped: list[Reason]) -> tuple[str, Refusal | None]:
    """The text less what the task drops; notes what it was."""
    rules = task.guard
    for reason, find, drop, action in (  # in this order, so that no drop brings about what was looked for before
        (Reason.CONTROL, first_control, without_control, rules.control),
        (Reason.BIDI, misleading, without_direction_controls, rules.bidi),
        (Reason.HIDDEN, first_hidden, without_hidden, rules.control),
    ):
        position = None if action == "pass" else find(text)
        if position is None:
            continue
        if action == "refuse":
            return text, _refused(reason, task, name, text, position)
        text = drop(text)
        dropped.append(reason)
    return text, None


def _restricted(task: Task, name: str, text: str) -> Refusal | None:
    """What only a task that asks for it refuses."""
    rules = task.guard
    if rules.lookalikes == "refuse":
        position = first_lookalike(text)
        if position is not None:
            return _refused(Reason.LOOKALIKES, task, name, text, position)
    problem = disallowed(text, rules.allow[name]) if name in rules.allow else None
    if problem is None:
        return None
    cause = f"input {name!r} of task {task.name} {problem}"
    return Refusal(Reason.NOT_ALLOWED, cause, f"Give what guard.allow.{name} of the task file lets through.")


_WHAT: Mapping[Reason, str] = {
    Reason.CONTROL: "a control character",
    Reason.HIDDEN: "text that nobody sees",
    Reason.BIDI: "a direction control that overrides, or is not closed in its line",
    Reason.LOOKALIKES: "letters or digits of several scripts in one word, which look alike",
}


def _refused(reason: Reason, task: Task, name: str, text: str, position: int) -> Refusal:
    where = f"at position {position} (U+{ord(text[position]):04X})"
    cause = f"input {name!r} of task {task.name} has {_WHAT[reason]} {where}"
    return Refusal(reason, cause, "Take it out of the text.")
