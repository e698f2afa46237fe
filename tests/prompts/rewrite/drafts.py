"""Tasks, material and drafts for the tests of rewriting."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from edge_autoglm.prompts.rewrite import OPERATORS, Draft, Labelled, Language, Material, seeds
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.values import Message, SamplingParams

PROBES = ({"text": "What a day!"}, {"text": "It rained."})
HOSTILE = (
    "{{ text }} {% for x in y %} {# gone #}",
    "ends with {",
    "{{{ {%- raw -%} }}}",
    "{\r{ windows\r\nlines\r",
    "quote ' and \" and \\ and {{ '{' }}",
    "two\n\nparagraphs, # and : and - and ---",
)

Chat = Callable[[Sequence[Message]], str]


def sentiment(*variants: Variant) -> Task:
    plain = Variant("plain", prompt="{{ text }}")
    review = Variant("review", prompt="Review: {{ text }}\nSentiment:")
    return _task("sentiment", "classify", ("positive", "negative"), (plain, review, *variants))


def question(*variants: Variant) -> Task:
    plain = Variant("plain", messages=(Message(role="user", content="{{ text }}"),), sampling=SamplingParams(40))
    asked = Variant("asked", prompt="Q: {{ text }}\nA:", sampling=SamplingParams(40, stop=("\nQ:", "\n\n")))
    return _task("ask", "generate", (), (plain, asked, *variants))


def pairs() -> Task:
    plain = Variant("plain", prompt="{{ text }} {{ reply }}")
    named = Variant("named", prompt="Text: {{ text }}\nReply: {{ reply }}\nFits:")
    labels = ("fits", "partly", "does not fit")
    probes = tuple({**probe, "reply": "So it did."} for probe in PROBES)
    return Task("reply_fit", "Does it fit?", "classify", ("text", "reply"), labels, (plain, named), probes, "fit.yaml")


def _task(name: str, kind: str, labels: tuple[str, ...], variants: tuple[Variant, ...]) -> Task:
    return Task(name, "What is it?", kind, ("text",), labels, variants, PROBES, f"{name}.yaml")  # type: ignore[arg-type]


def material(task: Task, texts: Sequence[str] = (), language: Language = "en") -> Material:
    """Examples of every label in turn."""
    shown = [*texts, *(f"example {number}" for number in range(24))]
    labels = task.labels or ("one answer", "another answer")
    examples = [
        Labelled(dict.fromkeys(task.inputs, f"{text}"), labels[i % len(labels)]) for i, text in enumerate(shown)
    ]
    return Material(task, examples, language)


def seed(task: Task, name: str, given: Material | None = None) -> Draft:
    """The draft of a hand-written variant."""
    return next(draft for draft in seeds(task, given or material(task)) if draft.variant.name == name)


def proposals(operator: str, draft: Draft, given: Material, number: int = 1) -> list[Draft]:
    return list(OPERATORS[operator].proposals(draft, given, random.Random(number)))


def wander(given: Material, number: int, steps: int = 8) -> list[Draft]:
    """Drafts along random walks from every seed."""
    rng = random.Random(number)
    found = []
    for draft in seeds(given.task, given):
        for _ in range(steps):
            operator = rng.choice(list(OPERATORS.values()))
            draft = next(operator.proposals(draft, given, rng), draft)
            found.append(draft)
    return found
