"""Variants that differ in name only: the learner would spend its choices on telling equal arms apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge_autoglm.prompts.checks.findings import Finding
from edge_autoglm.prompts.checks.places import CheckedTask
from edge_autoglm.prompts.checks.renderings import on_probes
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.prompts.task import Variant


def check_alike(checked: CheckedTask, model: TextModel | None) -> Iterator[Finding]:
    """Variants that render alike on every probe, and have the same settings."""
    seen: list[tuple[Variant, tuple[str, ...]]] = []
    for variant in checked.task.variants:
        prompts = on_probes(checked.task, variant, model)
        for other, others in seen:
            if prompts and prompts == others and _settings(variant) == _settings(other):
                message = f"variant {variant.name} renders as variant {other.name} does, on all {len(prompts)} probes"
                cure = "Take one of the two out, or make them differ."
                yield checked.finding("warning", "alike", checked.field_of(variant), message, cure)
                break
        seen.append((variant, prompts))


def _settings(variant: Variant) -> Variant:
    """All that decides an answer besides the prompt."""
    return replace(variant, name="", prompt=None, messages=None, answer=None, description="", made_by=())
