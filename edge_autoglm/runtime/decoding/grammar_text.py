"""Constraints in the language of llguidance, and what it cannot hold to in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from edge_autoglm.constraints import Choice, Constraint, JsonSchema, Regex
from edge_autoglm.errors import RequestError

_LAYOUT = {
    # One layout only, that of Python's `json.dumps`: left free, small models write whitespace without end. Nothing is
    # lost by it, as most of the punctuation is forced and needs no forward pass of its own.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    # Without \u: a further key "\u0061" would get past the schema of the property "a".
    "json_allowed_escapes": '"\\bfnrt',
    # A keyword that cannot be enforced is an error, whatever the schema says in `x-guidance`.
    "lenient": False,
    "coerce_one_of": False,
}
_ESCAPABLE = frozenset("\b\f\n\r\t")

_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf", "items", "prefixItems", "additionalItems", "additionalProperties"})
"""Keywords with a schema, or a list of them."""
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions"})


def grammar_text(constraint: Constraint, leading_space: bool) -> str:
    """A constraint as a grammar for ``llguidance.LLMatcher``.

    Args:
        constraint: What the answer must look like.
        leading_space: Whether the text begins with a space that the decoder will drop (SentencePiece).

    Raises:
        RequestError: A JSON schema asks for something that llguidance would not hold to.
    """
    from llguidance import LLMatcher

    space = " " if leading_space else ""
    if isinstance(constraint, JsonSchema):
        schema = json.loads(constraint.text)
        _refuse_unenforced(schema)
        text = json.dumps(schema | {"x-guidance": _LAYOUT}, ensure_ascii=False)
        return LLMatcher.grammar_from_lark(f"start: {json.dumps(space)} %json {text}")
    pattern = constraint.pattern if isinstance(constraint, Regex) else _one_of(constraint)
    return LLMatcher.grammar_from_regex(f"{space}(?:{pattern})" if space else pattern)


def _one_of(choice: Choice) -> str:
    return "|".join("".join(f"\\x{{{ord(char):x}}}" for char in option) for option in choice.options)


def _refuse_unenforced(schema: dict[str, Any]) -> None:
    """What llguidance would take without holding to it; it refuses by itself the keywords that it does not know."""
    for text in _strings(schema):
        if any(char < " " and char not in _ESCAPABLE for char in text):
            raise RequestError(
                f"the JSON schema holds a control character, in {text!r}, which answers cannot spell", "Leave it out."
            )
    for part in _parts(schema):
        least, required = part.get("minProperties", 0), part.get("required", [])
        # A key that no property names may come twice, and then counts once.
        if isinstance(least, (int, float)) and isinstance(required, list) and least > len(required) + 1:
            raise RequestError(
                f"the JSON schema wants at least {least} properties, and requires {len(required)} of them by name: that"
                " the others differ cannot be enforced",
                "Require more by name, or lower minProperties.",
            )


def _strings(schema: dict[str, Any]) -> Iterator[str]:
    left: list[object] = [schema]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and all schemas within it, as far as llguidance knows keywords that hold some."""
    left: list[object] = [schema]
    while left:
        part = left.pop()
        if not isinstance(part, dict):
            continue
        yield part
        for keyword, value in part.items():
            if keyword in _NAMED_SCHEMAS and isinstance(value, dict):
                left += value.values()
            elif keyword in _SCHEMAS:
                left += value if isinstance(value, list) else [value]
