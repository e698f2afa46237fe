"""Between plain text and Jinja source: text that stays text, and templates that are only text with inputs in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

# A brace is harmless unless it opens a tag, alone or together with what follows; at the end of a text, an input may
# follow. A carriage return would be read as a line feed.
_UNSAFE = re.compile(r"\{(?=[{%#\r]|\Z)|\r")
_ESCAPED = {"{": "{{ '{' }}", "\r": r"{{ '\r' }}"}
_CONSTANTS = {"'{'": "{", r"'\r'": "\r"}
_TAG = re.compile(
    r"\{\{\s*(?:(?P<constant>'\{'|'\\r')"
    r"|labels\s*\|\s*join\((?P<quote>[\"'])(?P<by>[^\"'\\]*)(?P=quote)\)"
    r"|(?P<name>\w+))\s*\}\}"
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a template where an input stands."""

    name: str


def escape(text: str) -> str:
    """Template source that renders to the text, whatever is in it."""
    return _UNSAFE.sub(lambda match: _ESCAPED[match[0]], text)


def slot(name: str) -> str:
    """Template source that renders to an input."""
    return f"{{{{ {name} }}}}"


def outline(source: str, inputs: Collection[str] | None, labels: Sequence[str]) -> tuple[str | Slot, ...] | None:
    """The template as texts and slots in turn, a text first and last; ``None`` if it does anything else.

    Args:
        source: Of the template.
        inputs: That it may use; ``None`` for whatever there is.
        labels: What ``labels`` stands for, which is filled in where the source joins them.
    """
    parts: list[str | Slot] = []
    text = ""
    end = 0
    for match in _TAG.finditer(source):
        literal = source[end : match.start()]
        if _UNSAFE.search(literal) or (match["name"] and inputs is not None and match["name"] not in inputs):
            return None
        end = match.end()
        text += literal
        if match["name"]:
            parts += [text, Slot(match["name"])]
            text = ""
        else:
            text += _CONSTANTS[match["constant"]] if match["constant"] else match["by"].join(labels)
    if _UNSAFE.search(source[end:]):
        return None
    return (*parts, text + source[end:])
