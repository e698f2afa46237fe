"""One step on from a draft: the variant is built, checked and named, and the step goes on record."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from edge_autoglm.prompts.rewrite.build import build
from edge_autoglm.prompts.rewrite.draft import Draft, Material, Step
from edge_autoglm.prompts.rewrite.fingerprint import fingerprint
from edge_autoglm.prompts.rewrite.form import Form
from edge_autoglm.prompts.rewrite.sound import is_sound
from edge_autoglm.prompts.task import Variant

Change = tuple[str, Form]
"""What was done, for people, and the form that came of it."""

Changes = Callable[[Form, Material, random.Random], Iterable[Change]]


@dataclass(frozen=True, slots=True)
class FormOperator:
    """An operator that makes forms from a form.

    Attributes:
        name: As steps name it.
        changes: All that it proposes for a form, in any order; drops out what changes nothing and what is not sound.
    """

    name: str
    changes: Changes

    def proposals(self, draft: Draft, material: Material, rng: random.Random) -> Iterator[Draft]:
        """See `Operator`."""
        if draft.form is None:
            return iter(())
        changes = list(self.changes(draft.form, material, rng))
        rng.shuffle(changes)
        steps = ((Step(self.name, detail), form) for detail, form in changes)
        return distinct(draft, (from_form(form, material, draft, step) for step, form in steps))


def from_form(form: Form, material: Material, parent: Draft | None, step: Step) -> Draft | None:
    """A draft of a form, one step after its parent; ``None`` if it is not sound."""
    priors = None if parent is None else parent.priors
    return _checked(Draft(build(form, material), _steps(parent, step), form, priors), material)


def with_sampling(draft: Draft, material: Material, step: Step, **settings: object) -> Draft | None:
    """The draft with other decoding settings, whether or not it has a form."""
    if draft.form is not None:
        form = replace(draft.form, sampling=replace(draft.form.sampling, **settings))  # type: ignore[arg-type]
        return from_form(form, material, draft, step)
    sampling = replace(draft.variant.sampling, **settings)  # type: ignore[arg-type]
    variant = replace(draft.variant, sampling=sampling, calibration={})
    return _checked(Draft(variant, _steps(draft, step), None, draft.priors), material)


def named(variant: Variant, steps: Iterable[Step]) -> Variant:
    """The variant with a name of its own and the steps on record."""
    return replace(
        variant, name=f"rw-{fingerprint(variant)[:8]}", description="", made_by=tuple(map(str, steps)), origin=""
    )


def distinct(parent: Draft, drafts: Iterable[Draft | None]) -> Iterator[Draft]:
    """The drafts that differ from the parent and from each other."""
    seen = {parent.key}
    for draft in drafts:
        if draft is not None and draft.key not in seen:
            seen.add(draft.key)
            yield draft


def _checked(draft: Draft, material: Material) -> Draft | None:
    if not is_sound(material.task, draft.variant):
        return None
    return replace(draft, variant=named(draft.variant, draft.steps))


def _steps(parent: Draft | None, step: Step) -> tuple[Step, ...]:
    return (step,) if parent is None else (*parent.steps, step)
