"""What rewriting works on: drafts of variants, how each came to be, and what there is to write them from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from edge_autoglm.prompts.rewrite.fingerprint import fingerprint
from edge_autoglm.prompts.rewrite.form import Form
from edge_autoglm.prompts.task import Task, Variant

Language = Literal["en", "zh"]
Priors = Literal["contextual", "centred"]
"""How label priors are estimated: see ``prompts/calibration.py``."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """An example whose answer is known.

    Attributes:
        inputs: The task's inputs.
        expect: The right label, or a right answer of a task that generates text.
    """

    inputs: Mapping[str, str]
    expect: str


@dataclass(frozen=True, slots=True)
class Material:
    """What operators may write from; nothing else gets into a draft.

    Attributes:
        task: Whose variants are rewritten.
        examples: The training part of the user's data: shots are taken from it and shown to the model in every
            request, so validation and test examples must not be in it.
        language: Of the phrases that operators put in.
    """

    task: Task
    examples: Sequence[Labelled] = ()
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class Step:
    """One step by which a draft came to be.

    Attributes:
        operator: Name of the operator, or ``seed`` for the first step.
        detail: What it did, for people.
    """

    operator: str
    detail: str

    def __str__(self) -> str:
        return f"{self.operator}: {self.detail}"


@dataclass(frozen=True)
class Draft:
    """A variant that may become one of the task.

    Attributes:
        variant: Sound: it passes the checks of a task file. Its ``made_by`` tells the steps.
        steps: From the seed on.
        form: The parts that the variant is built from; ``None`` where a person wrote it in a way that cannot be told
            apart, so that only operators which leave its words alone apply.
        priors: How the label priors that are taken off its scores are estimated; ``None`` for none. They belong to one
            prompt: whatever is rewritten from this draft wants its own.
    """

    variant: Variant
    steps: tuple[Step, ...]
    form: Form | None = None
    priors: Priors | None = None

    @property
    def wants(self) -> Priors | None:
        """Priors that are still to be estimated with the model.

        Whoever runs it scores the inputs that they need behind ``variant``, and calls ``settled``.
        """
        return None if self.variant.calibration else self.priors

    @property
    def key(self) -> str:
        """Two drafts with the same key answer every request alike, once their priors are settled."""
        return fingerprint(self.variant) + (f"+{self.wants}" if self.wants else "")

    def settled(self, priors: Mapping[str, float]) -> Draft:
        """The draft with its priors, wanting none.

        Args:
            priors: Label -> log prior, from ``contextual_priors`` or ``centred_priors``.
        """
        return replace(self, variant=replace(self.variant, calibration=dict(priors)))


class Operator(Protocol):
    """A way to rewrite a draft."""

    @property
    def name(self) -> str:
        """As steps name it."""

    def proposals(self, draft: Draft, material: Material, rng: random.Random) -> Iterator[Draft]:
        """Sound drafts that differ from the given one, each by one step, in random order.

        All random numbers are drawn by the call itself, before the first draft: how many are read does not matter to
        what comes later. No draft where the operator does not apply.
        """
