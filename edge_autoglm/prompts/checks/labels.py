"""Labels whose tokens begin alike behind a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_autoglm.prompts.checks.findings import Finding
from edge_autoglm.prompts.checks.places import CheckedTask
from edge_autoglm.prompts.checks.renderings import on_probes
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.prompts.render import label_texts
from edge_autoglm.prompts.task import Task, Variant

_CURE = "Give them verbalizer texts whose first tokens differ."


def check_labels(checked: CheckedTask, model: TextModel) -> Iterator[Finding]:
    """Labels that share their first token (each costs one more pass), or all of them (they always score the same)."""
    for variant in checked.task.variants:
        where = checked.field_of(variant, "verbalizer") if variant.verbalizer else checked.field_of(variant)
        reported: set[tuple[str, ...]] = set()
        for prompt in on_probes(checked.task, variant, model):
            for group, same in _groups(checked.task, variant, prompt, model):
                if group not in reported:
                    reported.add(group)
                    yield _finding(checked, variant, where, group, same)


def _finding(checked: CheckedTask, variant: Variant, where: str, group: Sequence[str], same: bool) -> Finding:
    names = " and ".join(group)
    if same:
        message = f"labels {names} have the same tokens in variant {variant.name}, so they always score the same"
        return checked.finding("error", "labels", where, message, _CURE)
    message = (
        f"labels {names} share their first token in variant {variant.name}: "
        "their difference is settled by later tokens, at one more pass each"
    )
    return checked.finding("warning", "labels", where, message, _CURE)


def _groups(task: Task, variant: Variant, prompt: str, model: TextModel) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Labels that begin with the same token, and whether two of them are the same altogether."""
    by_first: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
    for label, text in label_texts(task, variant, prompt).items():
        tokens = tuple(model.label_tokens(prompt, text))
        if tokens:
            by_first.setdefault(tokens[0], []).append((label, tokens))
    for members in by_first.values():
        if len(members) > 1:
            yield tuple(label for label, _ in members), len({tokens for _, tokens in members}) < len(members)
