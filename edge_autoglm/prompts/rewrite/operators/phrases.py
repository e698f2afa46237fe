"""Phrases and sentences: instruction, question, role and lead-in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from edge_autoglm.prompts.rewrite.bank import bank
from edge_autoglm.prompts.rewrite.compose import Change
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form
from edge_autoglm.prompts.task import Task


def instruction(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """What is asked for, put otherwise; or not at all, where names and examples may say it."""
    for phrase in instructions(form, material):
        yield repr(phrase), replace(form, instruction=phrase)
    if form.scheme == "words" and (form.cue or form.question):
        yield "none", replace(form, instruction="")


def question(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """A question behind the inputs; letters are explained by an instruction only."""
    section = {"words": "questions", "yes_no": "questions_yes_no"}.get(form.scheme)
    if section is None or (section == "questions_yes_no" and not material.task.labels):
        return
    for phrase in bank(material.language).texts(material.task.kind, section):
        yield repr(phrase), replace(form, question=phrase)
    if form.scheme == "words" and (form.cue or form.instruction):
        yield "none", replace(form, question="")


def role(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Who the model is, or the rules that it keeps: the system message of a chat."""
    for phrase in bank(material.language).texts(material.task.kind, "systems"):
        yield repr(phrase), replace(form, system=phrase)
    yield "none", replace(form, system="")


def lead_in(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """The beginning of the answer, put into the model's mouth."""
    if form.scheme == "words" and not form.method:
        for phrase in bank(material.language).texts(material.task.kind, "lead_ins"):
            cues = ("", form.cue) if form.cue else ("",)
            for cue in cues:
                yield repr(phrase) + (f" behind {cue}" if cue else ""), replace(form, cue=cue, lead_in=phrase)
    if form.lead_in:
        yield "none", replace(form, lead_in="", cue=form.cue or _cue(material), method="")


def instructions(form: Form, material: Material) -> tuple[str, ...]:
    """Instructions that go with the form's label words."""
    phrases = bank(material.language)
    task: Task = material.task
    if task.kind == "classify":
        return phrases.texts("classify", form.scheme)
    return (*phrases.topic(task).instructions, *phrases.texts("generate", "instructions"))


def _cue(material: Material) -> str:
    return bank(material.language).topic(material.task).cues[0]
