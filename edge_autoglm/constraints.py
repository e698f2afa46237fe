"""What an answer must look like: value types that a request carries, checked as far as that needs no grammar engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_autoglm.errors import RequestError


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """The answer is one of these texts, to the letter.

    Args:
        options: At least one; none empty, none twice.

    Raises:
        RequestError: There is no option, one is empty, there twice, or no text.
    """

    options: tuple[str, ...]

    def __init__(self, options: Sequence[str]) -> None:
        if isinstance(options, str) or not isinstance(options, Sequence):
            raise RequestError(f"the options of a choice are {options!r}", "Give a list of texts.")
        object.__setattr__(self, "options", tuple(options))
        if not self.options:
            raise RequestError("a choice has no options", "Give at least one.")
        for option in self.options:
            _check_text(option, "an option of a choice")
        if len(set(self.options)) < len(self.options):
            raise RequestError("a choice has an option twice", "Give each option once.")


@dataclass(frozen=True, slots=True)
class Regex:
    r"""The whole answer matches a regular expression.

    Attributes:
        pattern: In the syntax of Rust's ``regex``, without look-around, word boundaries and back-references. Most
            patterns mean the same in Python, but ``\w`` takes combining marks too, ``\s`` fewer control characters,
            and classes follow a Unicode version of their own.

    Raises:
        RequestError: It is empty or no text.
    """

    pattern: str

    def __post_init__(self) -> None:
        _check_text(self.pattern, "the pattern of a regular expression")


@dataclass(frozen=True, slots=True, init=False)
class JsonSchema:
    """The answer is JSON that a schema (of draft 2020-12, unless ``$schema`` names another) validates.

    Properties come in the order of the schema, so that two schemas which differ in it are not equal. ``format`` is
    held to as far as a regular expression can tell: the 29th of February is a date of every year.

    Args:
        schema: As an object, or as JSON text.

    Raises:
        RequestError: It is not a JSON object.
    """

    text: str
    """The schema as compact JSON."""

    def __init__(self, schema: Mapping[str, object] | str) -> None:
        object.__setattr__(self, "text", _compact(schema))


Constraint = Choice | Regex | JsonSchema


def _check_text(text: str, name: str) -> None:
    """Refuse what is empty or cannot be written as UTF-8."""
    if not isinstance(text, str):
        raise RequestError(f"{name} is {text!r}", "Give a text.")
    if not text:
        raise RequestError(f"{name} is empty", "Give a text of at least one character.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"{name} holds half of a surrogate pair, which is no character", "Leave it out.") from error


def _compact(schema: Mapping[str, object] | str) -> str:
    try:
        parsed = json.loads(schema) if isinstance(schema, str) else schema
        parsed = dict(parsed) if isinstance(parsed, Mapping) else parsed
        text = json.dumps(parsed, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"the JSON schema is no JSON: {error}", "Give a JSON object, or its text.") from error
    if not isinstance(parsed, dict):
        raise RequestError(
            f"the JSON schema is {text[:40]}, not an object", 'Give an object such as {"type": "object"}.'
        )
    return text
