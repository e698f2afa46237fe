"""Words: names of inputs and of the answer, and what stands for a label."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from string import ascii_uppercase

from edge_autoglm.prompts.rewrite.bank import bank
from edge_autoglm.prompts.rewrite.compose import Change
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form, Scheme

_CASES: dict[str, Callable[[str], str]] = {"lower case": str.lower, "capitals": str.capitalize, "upper case": str.upper}


def field_names(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Names of the inputs: Review, Text, Comment ..., or none where there is one input only."""
    for place, (field, _) in enumerate(form.fields):
        for name in bank(material.language).names(field):
            fields = (*form.fields[:place], (field, name), *form.fields[place + 1 :])
            yield f"{field} is called {name}", replace(form, fields=fields)
    if len(form.fields) == 1 and form.cue:
        field = form.fields[0][0]
        yield f"{field} has no name", replace(form, fields=((field, ""),))


def cue(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Name of the answer: Sentiment, Opinion, Rating ..., the task's own; or none in a chat."""
    names = [*bank(material.language).topic(material.task).cues]
    if material.language == "en" and material.task.kind == "classify" and material.task.name.isalpha():
        names.append(material.task.name.capitalize())
    for name in dict.fromkeys(names):
        yield f"the answer is called {name}", replace(form, cue=name)
    if form.style == "chat":
        yield "the answer has no name", replace(form, cue="")


def label_words(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Verbalisers: words from the bank, the labels in other cases, yes and no, letters."""
    labels = material.task.labels
    if not labels:
        return
    phrases = bank(material.language)
    columns = [dict(zip(labels, labels, strict=True)), *phrases.columns(labels)]
    for words in columns:
        yield _described(words), _with_words(form, words, "words", material, rng)
    for name, change in _CASES.items():
        if form.scheme == "words":
            yield f"labels in {name}", replace(form, words={label: change(word) for label, word in form.words.items()})
    if len(labels) == 2:
        words = dict(zip(labels, phrases.texts("yes_no"), strict=True))
        yield _described(words), _with_words(form, words, "yes_no", material, rng)
    if len(labels) <= len(ascii_uppercase):
        words = dict(zip(labels, ascii_uppercase, strict=False))
        yield _described(words), _with_words(form, words, "letters", material, rng)


def _with_words(form: Form, words: dict[str, str], scheme: Scheme, material: Material, rng: random.Random) -> Form:
    """The form with other words; with another instruction too, where they would not be understood without."""
    form = replace(form, words=words)
    if form.scheme == scheme:
        return form
    instruction = rng.choice(bank(material.language).texts("classify", scheme))
    return replace(form, scheme=scheme, instruction=instruction, question="", lead_in="")


def _described(words: dict[str, str]) -> str:
    return ", ".join(f"{word} for {label}" for label, word in words.items())
