"""Reads the ``guard`` of a task file.

By example; everything may be left out::

    guard:
      max_chars: 4000                       # of each input; 100,000 by default
      control: refuse                       # control characters and hidden text: drop (default) or refuse
      bidi: drop                            # unbalanced direction controls and overrides: refuse (default), drop, pass
      lookalikes: refuse                    # words of mixed alphabets: flag (default) or refuse
      allow:                                # by input
        unit: [metre, foot]                 # one of these, to the letter
        part: {characters: A-Z0-9-, max_chars: 12}
      output:                               # text tasks; given at all, a bad answer is refused
        max_chars: 600
        forbid: ["http://", "as an AI"]
        allow: {characters: a-z .}          # or a list of values
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from edge_autoglm.prompts.fields import Field
from edge_autoglm.prompts.guard.allowing import character_set
from edge_autoglm.prompts.guard.rules import Allowed, GuardRules, OutputRules

_CHOICES = {
    "control": ("drop", "refuse"),
    "bidi": ("refuse", "drop", "pass"),
    "lookalikes": ("flag", "refuse"),
}


def read_guard(field: Field | None, inputs: Sequence[str], labels: Collection[str]) -> GuardRules:
    """The rules of a task; those by default where the file has no ``guard``.

    Args:
        field: The guard.
        inputs: Of the task.
        labels: Of the task; one that has some answers with nothing else, so there is no output to check.

    Raises:
        TaskFileError: A field is unknown or wrong.
    """
    if field is None:
        return GuardRules()
    fields = field.mapping((), ("max_chars", *_CHOICES, "allow", "output"))
    read: dict[str, Any] = {name: _choice(fields[name], _CHOICES[name]) for name in _CHOICES if name in fields}
    read |= _limit(fields)
    if "allow" in fields:
        entries = fields["allow"].mapping((), inputs)
        read["allow"] = {name: _allowed(entry) for name, entry in entries.items()}
    if "output" in fields:
        if labels:
            raise fields["output"].error("is given for a task that answers with a label", "Remove it.")
        read["output"] = _output(fields["output"])
    return GuardRules(**read)


def _output(field: Field) -> OutputRules:
    fields = field.mapping((), ("max_chars", "forbid", "allow"))
    read: dict[str, Any] = _limit(fields)
    if "forbid" in fields:
        read["forbid"] = tuple(item.text() for item in fields["forbid"].items())
    if "allow" in fields:
        read["allow"] = _allowed(fields["allow"])
    return OutputRules(**read)


def _allowed(field: Field) -> Allowed:
    if field.is_list:
        return Allowed(values=tuple(item.text() for item in field.items()))
    fields = field.mapping(("characters",), ("max_chars",))
    characters = fields["characters"].text()
    try:
        character_set(characters)
    except ValueError as error:
        raise fields["characters"].error(f"is {characters[:40]!r}, {error}", "Write ranges upwards, as a-z.") from error
    return Allowed(characters=characters, max_chars=_limit(fields).get("max_chars"))


def _limit(fields: dict[str, Field]) -> dict[str, int]:
    if "max_chars" not in fields:
        return {}
    limit = fields["max_chars"].integer()
    if limit < 1:
        raise fields["max_chars"].error(f"is {limit}", "Give 1 or more.")
    return {"max_chars": limit}


def _choice(field: Field, choices: tuple[str, ...]) -> str:
    text = field.text()
    if text not in choices:
        raise field.error(f"is {text[:40]!r}", f"Write {', '.join(choices[:-1])} or {choices[-1]}.")
    return text
