"""A YAML file as typed fields that know their path and line, so that every error can name both.

The file is parsed with PyYAML's safe loader down to its nodes, and each field is read as the type that is wanted
there. That avoids YAML's guesses: where a text is wanted, ``yes``, ``no``, ``1.10`` and ``2024-01-01`` are those texts.
Two rules:

- A line break at the end of a prompt, a message, an answer, a verbalizer or a probe is no part of it: exactly one is
  taken off, because a block scalar (``|``) ends with one. That holds in whatever style the text is written, so a file
  that another YAML tool has rewritten means the same. To end a prompt with a line break, end it with two.
- A key that stands twice in a mapping, an unknown key and an empty value are errors.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from edge_autoglm.errors import TaskFileError
from edge_autoglm.prompts.text import unusable

_WHOLE = "the file"
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_TAG = "tag:yaml.org,2002:"
_READABLE_AS_TEXT = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "timestamp", "value", "merge"))


@dataclass(frozen=True)
class Field:
    """A value in a file.

    Attributes:
        file: The file's name.
        path: Where the value stands, as ``variants[2].decoding``; empty for the whole file.
        node: The parsed value.
    """

    file: str
    path: str
    node: yaml.Node

    def error(self, problem: str, cure: str) -> TaskFileError:
        """An error about this field: ``problem`` goes on where its name stops."""
        cause = f"{self.file}: {self.path or _WHOLE} {problem} (line {self.line})"
        return TaskFileError(cause, cure, field=self.path, line=self.line)

    @property
    def line(self) -> int:
        """Where it begins, from 1."""
        return int(self.node.start_mark.line) + 1

    def line_within(self, line: int) -> int:
        """The file's line of a line of this text, both from 1; that of its beginning where YAML joins lines."""
        literal = isinstance(self.node, yaml.ScalarNode) and self.node.style == "|"
        return self.line + line if literal else self.line

    def at(self, path: str) -> Field:
        """What stands at a path below this one, as ``messages[1].content``; this field where there is nothing."""
        found: Field | None = self
        for name, index in _STEP.findall(path):
            if found is not None:
                found = found._child(name, index)
        return self if found is None else found

    def _child(self, name: str, index: str) -> Field | None:
        if index and isinstance(self.node, yaml.SequenceNode) and int(index) < len(self.node.value):
            return self.items(at_least=0)[int(index)]
        return self.entries().get(name) if name and isinstance(self.node, yaml.MappingNode) else None

    def mapping(self, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Field]:
        """The entries of a mapping with given keys.

        Raises:
            TaskFileError: It is no mapping, or a key is missing, unknown or there twice.
        """
        entries = self.entries()
        for key, value in entries.items():
            if key not in required and key not in optional:
                known = ", ".join((*required, *optional))
                raise value.error("is an unknown key", f"Use only the keys {known}.")
        for key in required:
            if key not in entries:
                raise self.error(f"has no {key}", f"Add the key {key}.")
        return entries

    def entries(self) -> dict[str, Field]:
        """The entries of a mapping with any keys.

        Raises:
            TaskFileError: It is no mapping, or a key is there twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"is {_kind(self.node)}", "Write a mapping (key: value).")
        found: dict[str, Field] = {}
        for key_node, value_node in self.node.value:
            key = Field(self.file, self._below("a key"), key_node).text()
            field = Field(self.file, self._below(key), value_node)
            if key in found:
                raise field.error("is there twice", "Leave one of the two out.")
            found[key] = field
        return found

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    def items(self, at_least: int = 1) -> list[Field]:
        """The elements of a list.

        Raises:
            TaskFileError: It is no list, or a shorter one than ``at_least``.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"is {_kind(self.node)}", "Write a list (- item).")
        if len(self.node.value) < at_least:
            raise self.error(f"has {len(self.node.value)} elements", f"Give at least {at_least}.")
        return [Field(self.file, f"{self.path}[{i}]", node) for i, node in enumerate(self.node.value)]

    def text(self) -> str:
        """A text that is not empty, exactly as YAML reads it.

        Raises:
            TaskFileError: It is no text, is empty, or has a NUL or half a surrogate pair.
        """
        node = self.node
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _READABLE_AS_TEXT:
            raise self.error(f"is {_kind(node)}", "Write a text.")
        return self._checked(str(node.value))

    def passage(self) -> str:
        """A text less the line break at its end, if there is one.

        Raises:
            TaskFileError: As for ``text``.
        """
        return self._checked(self.text().removesuffix("\n"))

    def integer(self) -> int:
        """A whole number.

        Raises:
            TaskFileError: It is something else.
        """
        if self.node.tag == _TAG + "int":
            try:
                return int(self.node.value)
            except ValueError:  # hexadecimal, sexagesimal
                pass
        raise self.error(f"is {_kind(self.node)}", "Write a whole number.")

    def number(self) -> float:
        """A number.

        Raises:
            TaskFileError: It is something else.
        """
        if self.node.tag in (_TAG + "int", _TAG + "float"):
            try:
                return float(self.node.value)
            except ValueError:  # .inf, .nan, sexagesimal
                pass
        raise self.error(f"is {_kind(self.node)}", "Write a number.")

    def _checked(self, text: str) -> str:
        if not text:
            raise self.error("is empty", "Write a text.")
        problem = unusable(text)
        if problem is not None:
            raise self.error(problem, "Take it out.")
        return text

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def read_fields(path: Path) -> Field:
    """Parse a file.

    Raises:
        TaskFileError: It cannot be read, is no YAML, or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        cause = f"{path.name}: {_WHOLE} cannot be read: {error.strerror or error}"
        raise TaskFileError(cause, f"Check that {path} exists and may be read.") from error
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise _unparsable(path.name, content, error) from error
    if node is None:
        raise _error(path.name, "is empty", 1, "Write a task into it.")
    return Field(path.name, "", node)


def _unparsable(name: str, content: bytes, error: Exception) -> TaskFileError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        cure = "Correct the indentation or the quoting there."
        return _error(name, f"is not YAML: {error.problem or error.context}", line, cure)
    if isinstance(error, yaml.reader.ReaderError):
        # A position of bytes where they are no UTF-8, of characters where one may not be in YAML.
        read = content if isinstance(error.character, bytes) else content.decode("utf-8", "replace").encode("utf-32-le")
        width = 1 if isinstance(error.character, bytes) else 4
        line = read[: width * error.position].count(b"\n") + 1
        return _error(name, f"is not text: {error.reason}", line, "Save it as UTF-8, without control characters.")
    return _error(name, "is nested too deeply", _deepest_line(content), "Flatten it.")


def _deepest_line(content: bytes) -> int:
    """Where the nesting is deepest; the parser, unlike what builds on it, takes any depth."""
    depth, deepest, line = 0, 0, 1
    with suppress(yaml.YAMLError):
        for event in yaml.parse(content, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > deepest:
                deepest, line = depth, getattr(event.start_mark, "line", 0) + 1
    return line


def _error(name: str, problem: str, line: int, cure: str) -> TaskFileError:
    return TaskFileError(f"{name}: {_WHOLE} {problem} (line {line})", cure, line=line)


def _kind(node: yaml.Node) -> str:
    """What a value is, for a message."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if node.tag == _TAG + "null":
        return "empty"
    if node.tag == _TAG + "str":
        return f"the text {node.value!r}"
    return f"{node.value} ({node.tag.removeprefix(_TAG)})"
