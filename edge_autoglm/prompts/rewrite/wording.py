"""What the marks in a phrase stand for: ``{labels}``, ``{input}`` and so on."""

from __future__ import annotations

import re

from edge_autoglm.prompts.rewrite.bank import Bank, bank
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form

_MARK = re.compile(r"\{(labels|options|first|answer|input|description)\}")


def fill(phrase: str, form: Form, material: Material) -> str:
    """The phrase with its marks filled in. What is filled in is not looked through again."""
    if not _MARK.search(phrase):
        return phrase
    values = _values(form, material, bank(material.language))
    filled = _MARK.sub(lambda match: values[match[1]], phrase)
    return filled[:1].upper() + filled[1:] if phrase.startswith("{") else filled


def marked(text: str) -> bool:
    """Whether a text would be taken for a phrase with marks."""
    return _MARK.search(text) is not None


def _values(form: Form, material: Material, phrases: Bank) -> dict[str, str]:
    task = material.task
    return {
        "labels": _joined([form.words[label] for label in task.labels], phrases),
        "options": "\n".join(f"{form.words[label]}. {label}" for label in task.labels),
        "first": task.labels[0] if task.labels else "",
        "answer": phrases.topic(task).noun,
        "input": _inputs(form, phrases),
        "description": task.description.strip(),
    }


def _inputs(form: Form, phrases: Bank) -> str:
    """The names of the fields as they stand in a sentence."""
    nouns = [name if len(name) > 1 else phrases.names(field)[0] for field, name in form.fields]
    shown = dict.fromkeys(noun.lower() for noun in nouns)
    return phrases.text("and").join(shown)


def _joined(words: list[str], phrases: Bank) -> str:
    """``a, b or c``."""
    return phrases.text("joiner").join(filter(None, (phrases.text("separator").join(words[:-1]), *words[-1:])))
