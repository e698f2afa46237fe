"""All checks of task files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.errors import EdgeAutoGLMError, PromptError
from edge_autoglm.prompts.checks.alike import check_alike
from edge_autoglm.prompts.checks.costs import resident_prefix, resident_tokens, variant_costs
from edge_autoglm.prompts.checks.findings import Finding, VariantCost
from edge_autoglm.prompts.checks.labels import check_labels
from edge_autoglm.prompts.checks.places import CheckedTask
from edge_autoglm.prompts.checks.prefixes import check_prefixes
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.prompts.guard.screening import screen
from edge_autoglm.values import Progress, silent

NEED_A_MODEL = ("labels", "prefix", "cost")
"""Checks that need a bundle's tokenizer."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        tasks: Those that load.
        findings: In the order of the files.
        costs: Of every variant; none without a model.
        shared_tokens: Tokens resident for all variants together; ``None`` without a model.
        skipped: Checks that were not made, for want of a model.
    """

    tasks: tuple[CheckedTask, ...]
    findings: tuple[Finding, ...]
    costs: tuple[VariantCost, ...]
    shared_tokens: int | None
    skipped: tuple[str, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many are warnings."""
        return len(self.findings) - self.errors


def check_files(paths: Sequence[Path], model: TextModel | None, progress: Progress = silent) -> Report:
    """Check task files, each on its own and all together.

    Args:
        paths: Of the files.
        model: Whose tokens are counted; ``None`` leaves out what needs one.
        progress: Stage ``checking``, in files.
    """
    tasks: list[CheckedTask] = []
    findings: list[Finding] = []
    costs: list[VariantCost] = []
    prefixes: list[tuple[int, ...]] = []
    for done, path in enumerate(paths):
        progress("checking", done, len(paths))
        try:
            checked = CheckedTask.load(path)
        except PromptError as error:
            findings.append(Finding("error", "load", str(path), error.line, error.field, error.cause, error.cure))
            continue
        findings += [*_named_before(checked, tasks), *_findings(checked, model)]
        tasks.append(checked)
        if model is not None:
            costs += variant_costs(checked, model)
            prefixes += [resident_prefix(checked.task, variant, model) or () for variant in checked.task.variants]
    progress("checking", len(paths), len(paths))
    shared = None if model is None else resident_tokens(prefixes)
    return Report(tuple(tasks), tuple(findings), tuple(costs), shared, NEED_A_MODEL if model is None else ())


def _findings(checked: CheckedTask, model: TextModel | None) -> Iterator[Finding]:
    yield from check_alike(checked, model)
    yield from _unguarded(checked)
    if model is not None:
        yield from _unusable(checked, model)
        yield from check_labels(checked, model)
        yield from check_prefixes(checked, model)


def _named_before(checked: CheckedTask, others: Sequence[CheckedTask]) -> Iterator[Finding]:
    for other in others:
        if other.task.name == checked.task.name:
            message = f"the name {checked.task.name!r} is that of {other.path} too"
            yield checked.finding("error", "names", "name", message, "Rename one of them.")


def _unguarded(checked: CheckedTask) -> Iterator[Finding]:
    """Examples that the task's own guard would refuse as a request."""
    task = checked.task
    examples = [(f"probes[{i}]", probe) for i, probe in enumerate(task.probes)]
    examples += [(f"golden[{i}]", question.inputs) for i, question in enumerate(task.golden)]
    for field, inputs in examples:
        refusal = screen(task, inputs).refusal
        if refusal is not None:
            yield checked.finding("error", "guard", field, f"the guard refuses it: {refusal.cause}", refusal.cure)


def _unusable(checked: CheckedTask, model: TextModel) -> Iterator[Finding]:
    """Chats without a chat template, which a runtime leaves out, and soft prompts that the bundle has not."""
    for variant in checked.task.variants:
        if variant.messages is not None and model.chat is None:
            message = f"variant {variant.name} is a chat, and the model has no chat template: it is left out"
            field = checked.field_of(variant, "messages")
            yield checked.finding("warning", "chat", field, message, "Write it as a prompt for this model.")
        if variant.soft_prompt is not None:
            yield from _missing_soft_prompt(
                checked, variant.soft_prompt, checked.field_of(variant, "soft_prompt"), model
            )


def _missing_soft_prompt(checked: CheckedTask, name: str, field: str, model: TextModel) -> Iterator[Finding]:
    try:
        model.soft_prompt(name)
    except EdgeAutoGLMError as error:
        message = f"the soft prompt {name}: {error.cause}"
        yield checked.finding("error", "soft_prompt", field, message, "Import it into the bundle, or take it out here.")
