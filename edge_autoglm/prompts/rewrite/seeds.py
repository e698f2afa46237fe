"""Where a search begins: the task's own variants, and a few short prompts from the grammar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge_autoglm.prompts.rewrite.bank import bank
from edge_autoglm.prompts.rewrite.compose import Change, distinct, from_form
from edge_autoglm.prompts.rewrite.draft import Draft, Material, Step
from edge_autoglm.prompts.rewrite.form import Form, Layout
from edge_autoglm.prompts.rewrite.lift import lift
from edge_autoglm.prompts.task import PLAIN, Task, Variant

_SEED = "seed"


def seeds(task: Task, material: Material) -> tuple[Draft, ...]:
    """Drafts to begin with: each variant of the task as it is, then roots of the grammar that differ from them.

    Args:
        task: Whose variants are to be rewritten.
        material: With its language, in which the roots are put.
    """
    material = replace(material, task=task)
    written = [_written(variant, material) for variant in task.variants]
    known = {draft.key for draft in written}
    roots = (from_form(form, material, None, Step(_SEED, detail)) for detail, form in _roots(material))
    return (*written, *(draft for draft in distinct(written[0], roots) if draft.key not in known))


def _written(variant: Variant, material: Material) -> Draft:
    """A variant of the task, untouched; what it was made by before is not forgotten."""
    before = tuple(Step(*step.partition(": ")[::2]) for step in variant.made_by)
    steps = before or (Step(_SEED, f"hand-written {variant.name}"),)
    return Draft(variant, steps, lift(variant, material), "contextual" if variant.calibration else None)


def _roots(material: Material) -> Iterator[Change]:
    """Short forms of every kind: operators lead from them to the others."""
    task = material.task
    phrases = bank(material.language)
    topic = phrases.topic(task)
    base = Form(
        "completion",
        tuple((name, phrases.names(name)[0]) for name in task.inputs),
        cue=topic.cues[0],
        layout=Layout(pair=phrases.texts("layouts")[0]),
        words=_words(material),
        sampling=task.variant(PLAIN).sampling,
    )
    if task.kind == "classify":
        instruction, question = (phrases.texts("classify", key)[0] for key in ("words", "questions"))
    else:
        instruction = (*topic.instructions, *phrases.texts("generate", "instructions"))[0]
        question = phrases.texts("generate", "questions")[0]
    lead_in = phrases.texts(task.kind, "lead_ins")[0]
    yield "completion, names only", base
    yield "completion, with an instruction", replace(base, instruction=instruction)
    yield "completion, with a question", replace(base, question=question)
    yield "completion, with a lead-in", replace(base, cue="", lead_in=lead_in)
    yield "chat, with an instruction", replace(base, style="chat", instruction=instruction)
    yield "chat, with a question and a lead-in", replace(base, style="chat", cue="", question=question, lead_in=lead_in)
    yield "chat, answered freely", replace(base, style="chat", cue="", instruction=instruction)


def _words(material: Material) -> dict[str, str]:
    """The labels themselves; their translation, where the phrases are in a language of its own."""
    labels = material.task.labels
    columns = bank(material.language).columns(labels) if material.language != "en" else ()
    return columns[0] if columns else dict(zip(labels, labels, strict=True))
