"""What variants cost: tokens that are held, tokens that a request computes, and the KV of the former."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edge_autoglm.errors import EdgeAutoGLMError
from edge_autoglm.prompts.checks.findings import VariantCost
from edge_autoglm.prompts.checks.places import CheckedTask
from edge_autoglm.prompts.checks.renderings import on_probes
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.prompts.render import static_prefix
from edge_autoglm.prompts.task import Task, Variant


def variant_costs(checked: CheckedTask, model: TextModel) -> Iterator[VariantCost]:
    """Of each variant that the model can be asked with."""
    for variant in checked.task.variants:
        prompts = on_probes(checked.task, variant, model)
        prefix = resident_prefix(checked.task, variant, model)
        if prompts and prefix is not None:
            yield VariantCost(
                file=str(checked.path),
                task=checked.task.name,
                variant=variant.name,
                prefix_tokens=len(prefix),
                probe_tokens=max(model.prompt_length(prompt, variant.soft_prompt) for prompt in prompts),
                resident_bytes=len(prefix) * model.kv_bytes_per_token,
            )


def resident_prefix(task: Task, variant: Variant, model: TextModel) -> tuple[int, ...] | None:
    """Tokens that a generation keeps for a variant; ``None`` where the model cannot be asked with it."""
    try:
        return model.prefix_tokens(static_prefix(task, variant, model.chat), variant.soft_prompt)
    except EdgeAutoGLMError:  # no chat template, or no such soft prompt
        return None


def resident_tokens(prefixes: Iterable[Sequence[int]]) -> int:
    """Tokens that all prefixes take together: a beginning that several have in common is held once."""
    nodes: dict[tuple[int, int], int] = {}  # of a tree: node and token -> next node
    for prefix in prefixes:
        node = 0
        for token in prefix:
            node = nodes.setdefault((node, token), len(nodes) + 1)
    return len(nodes)
