"""One running text, or a chat; examples in the request's turn, or as turns of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from edge_autoglm.prompts.rewrite.bank import bank
from edge_autoglm.prompts.rewrite.compose import Change
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form


def style(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Completion style to chat style and back."""
    if form.style == "completion":
        yield "a chat", replace(form, style="chat")
        if form.cue and (form.instruction or form.question):
            yield "a chat, without a name for the answer", replace(form, style="chat", cue="")
    else:
        cue = form.cue or ("" if form.lead_in else bank(material.language).topic(material.task).cues[0])
        yield "a running text", replace(form, style="completion", turns=False, cue=cue)
        if form.shots:
            where = "in one turn" if form.turns else "as turns"
            yield f"examples {where}", replace(form, turns=not form.turns)
