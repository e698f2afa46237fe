"""Human-rated snippets that ship with the package."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.resources import files

DOMAINS = ("movies", "tweets")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One text with the sign of its mean human rating as its label."""

    text: str
    label: str
    domain: str


def load_snippets(count: int, seed: int) -> list[Snippet]:
    """``count`` snippets of all domains, in an order that depends on the seed only."""
    snippets = [snippet for domain in DOMAINS for snippet in _read(domain)]
    random.Random(seed).shuffle(snippets)
    return snippets[:count]


def _read(domain: str) -> list[Snippet]:
    lines = files("edge_autoglm.data").joinpath(f"sentiment_{domain}.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t", 1) for line in lines[1:])
    return [
        Snippet(text=text.strip(), label="positive" if float(valence) > 0 else "negative", domain=domain)
        for valence, text in rows
    ]
