"""Reasoning before the answer: step by step, and least to most.

A label is scored right behind the prompt, so a task that classifies has no room for reasoning of the model's own: there
the phrase leads to the label. A task that generates text reasons in its answer, and ends with a line that
`final_answer` finds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace

from edge_autoglm.prompts.rewrite.bank import bank
from edge_autoglm.prompts.rewrite.compose import Change
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form

_ROOM = 3
"""Times as many tokens as the answer alone may have."""

_FINAL = re.compile(r"(?:\banswer\s*[:：]|答案\s*[:：])[ \t]*\**[ \t]*(?P<answer>.*\S)", re.IGNORECASE)


def step_by_step(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Zero-shot chain of thought (Kojima et al. 2022, "Large Language Models are Zero-Shot Reasoners")."""
    phrases = bank(material.language)
    if material.task.kind == "generate":
        for phrase in phrases.texts("generate", "steps"):
            yield repr(phrase), _reasoning(form, material, phrase)
    elif form.scheme == "words":
        for phrase in phrases.texts("classify", "steps"):
            yield repr(phrase), replace(form, cue="", lead_in=phrase)


def least_to_most(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Smaller questions first, in one pass (Zhou et al. 2022, "Least-to-Most Prompting Enables Complex Reasoning")."""
    if material.task.kind != "generate":
        return
    phrases = bank(material.language)
    for phrase in phrases.texts("generate", "parts"):
        for lead_in in phrases.texts("generate", "parts_lead_ins"):
            yield (
                f"{phrase!r}, {lead_in!r}",
                _reasoning(form, material, lead_in, phrase),
            )


def final_answer(text: str) -> str:
    """What a reasoned answer comes to: the text behind its last ``Answer:`` or ``答案：``, or all of it."""
    found = list(_FINAL.finditer(text))
    return found[-1]["answer"].strip(" *\t") if found else text.strip()


def _reasoning(form: Form, material: Material, lead_in: str, how: str = "") -> Form:
    """The form with room to reason; without examples, whose answers give no reasons, and without stops at line ends."""
    method = f"{how} {bank(material.language).text('generate', 'final')}".strip()
    sampling = form.sampling
    if not form.method:
        tokens = sampling.max_new_tokens * _ROOM
        stops = tuple(stop for stop in sampling.stop if stop.strip("\n"))
        sampling = replace(sampling, max_new_tokens=tokens, stop=stops)
    return replace(form, method=method, lead_in=lead_in, cue="", shots=(), turns=False, sampling=sampling)
