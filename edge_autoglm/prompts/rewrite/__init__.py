"""Rewriting variants: a grammar of prompts and the operators that move in it.

    material = Material(task, examples)
    for draft in seeds(task, material):
        for operator in OPERATORS.values():
            for proposal in operator.proposals(draft, material, random.Random(7)):
                ...

A draft that ``wants`` priors is to be settled with the model first: see ``Draft.wants``.
"""

from edge_autoglm.prompts.rewrite.draft import Draft, Labelled, Language, Material, Operator, Priors, Step
from edge_autoglm.prompts.rewrite.fingerprint import fingerprint
from edge_autoglm.prompts.rewrite.operators.reasoning import final_answer
from edge_autoglm.prompts.rewrite.registry import OPERATORS
from edge_autoglm.prompts.rewrite.seeds import seeds

__all__ = [
    "OPERATORS",
    "Draft",
    "Labelled",
    "Language",
    "Material",
    "Operator",
    "Priors",
    "Step",
    "final_answer",
    "fingerprint",
    "seeds",
]
