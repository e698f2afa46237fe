"""Format: separators, lines, case and order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from edge_autoglm.prompts.rewrite.bank import bank
from edge_autoglm.prompts.rewrite.compose import Change
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form

_CASES = {"lower case": str.lower, "upper case": str.upper, "title case": str.title, "capitals": str.capitalize}


def separators(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """How names and values stand together: ``Review: x``, ``[Review] x``, ``<Review>x</Review>`` ..."""
    for pair in bank(material.language).texts("layouts"):
        yield repr(pair), replace(form, layout=replace(form.layout, pair=pair))


def lines(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """What stands between the lines of an example, and between examples."""
    phrases = bank(material.language)
    for line in phrases.texts("lines"):
        yield f"lines apart by {line!r}", replace(form, layout=replace(form.layout, line=line))
    for gap in phrases.texts("gaps"):
        yield f"examples apart by {gap!r}", replace(form, layout=replace(form.layout, gap=gap))


def case(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Case of the names."""
    for name, change in _CASES.items():
        fields = tuple((field, change(shown)) for field, shown in form.fields)
        yield f"names in {name}", replace(form, fields=fields, cue=change(form.cue))


def order(form: Form, material: Material, rng: random.Random) -> Iterator[Change]:
    """Order of the inputs, and whether the instruction stands before or behind them."""
    if 1 < len(form.fields) <= 4:
        for fields in permutations(form.fields):
            yield f"inputs as {', '.join(field for field, _ in fields)}", replace(form, fields=fields)
    if bool(form.instruction) != bool(form.question):
        where = "behind" if form.instruction else "before"
        changed = replace(form, instruction=form.question, question=form.instruction)
        yield f"instruction {where} the inputs", changed
