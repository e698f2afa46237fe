"""The phrases that operators choose from: one data file a language, ``banks/en.yaml`` and ``banks/zh.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from edge_autoglm.prompts.task import Task


@dataclass(frozen=True, slots=True)
class Topic:
    """What a task asks for.

    Attributes:
        noun: In a sentence: ``the sentiment of this text``.
        cues: Names of the answer's field, the usual one first.
        instructions: For this topic only.
    """

    noun: str
    cues: tuple[str, ...]
    instructions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bank:
    """The phrases of one language. Immutable by agreement: nothing writes into ``data``."""

    data: Mapping[str, Any]

    def texts(self, *path: str) -> tuple[str, ...]:
        """The list at a path, such as ``classify``, ``systems``."""
        found: Any = self.data
        for key in path:
            found = found[key]
        return tuple(found)

    def text(self, *path: str) -> str:
        """The text at a path."""
        found: Any = self.data
        for key in path:
            found = found[key]
        return str(found)

    def topic(self, task: Task) -> Topic:
        """What the task asks for: by a word of its name, else by its labels, else in general."""
        of_kind = [topic for topic in self.data["topics"] if topic["kind"] == task.kind]
        words = set(re.split(r"[_-]", task.name))
        named = (topic for topic in of_kind if words & set(topic["names"]))
        labelled = (topic for topic in of_kind if task.labels and set(task.labels) <= set(topic.get("labels", ())))
        found = next(named, None) or next(labelled, of_kind[-1])
        return Topic(found["noun"], tuple(found["cues"]), tuple(found.get("instructions", ())))

    def names(self, input_name: str) -> tuple[str, ...]:
        """Names that an input's field may have, the usual one first."""
        words = input_name.split("_")
        listed = self.data["inputs"]
        known = next((listed[word] for word in reversed(words) if word in listed and word != "other"), None)
        if known is not None:
            return tuple(known)
        return (" ".join(words).capitalize(), *listed["other"])

    def columns(self, labels: Sequence[str]) -> tuple[dict[str, str], ...]:
        """Sets of words that may stand for the labels."""
        lowered = [label.lower() for label in labels]
        for words in self.data["words"]:
            if all(label in words for label in lowered):
                columns = zip(*(words[label] for label in lowered), strict=True)
                return tuple(dict(zip(labels, column, strict=True)) for column in columns)
        return ()


@cache
def bank(language: str) -> Bank:
    """The phrases of a language, ``en`` or ``zh``."""
    path = Path(__file__).parent / "banks" / f"{language}.yaml"
    return Bank(yaml.safe_load(path.read_text(encoding="utf-8")))
