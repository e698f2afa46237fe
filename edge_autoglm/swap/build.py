"""Fills the standby buffer: a generation whose prompt prefixes are resident before its first request."""

from __future__ import annotations

from collections.abc import Iterator

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import EdgeAutoGLMError, SwapError
from edge_autoglm.learn.policy import FrozenPolicy
from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.prompts.render import static_prefix
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.carried import same_model, same_variant
from edge_autoglm.swap.generation import Generation, Resident
from edge_autoglm.swap.soft_prompts import hold_soft_prompts
from edge_autoglm.values import Progress, silent


def build_generation(
    number: int,
    bundle: Bundle,
    model: LanguageModel,
    catalogue: Catalogue,
    policy: FrozenPolicy,
    previous: Generation | None,
    reason: str,
    progress: Progress = silent,
) -> Generation:
    """Prefill the static part of every variant's prompt and keep its KV.

    KV that is held already is pinned, not computed again: a new policy needs no forward pass at all, a new prompt set
    only those over what is new in it.

    Args:
        number: From ``DoubleBuffer.next_number``.
        bundle: That the generation comes from.
        model: Belongs to the generation from now on, and is closed if building it fails. A fork of
            ``previous.model`` where the weights are the same.
        catalogue: Its prompts.
        policy: Chooses among its variants.
        previous: The active generation, leased by the caller; ``None`` for the first one.
        reason: Why it is built.
        progress: Told of every variant.

    Raises:
        SwapError: ``model`` is the very object that ``previous`` answers with; it stays open.
        TemplateError: A variant cannot be rendered.
        PromptTooLong: A static part does not fit a KV slot.
        EdgeAutoGLMError: Whatever else the engine reports. All of these name task and variant.
    """
    if previous is not None and model is previous.model:
        raise SwapError(f"generation {number} was given the model of generation {previous.number}", "Fork it.")
    try:
        hold_soft_prompts(model, bundle, catalogue, previous)
        resident = _make_resident(model, catalogue, previous, progress)
        return Generation(number, bundle, model, catalogue, policy, reason, resident)
    except BaseException:
        model.close()
        raise


def _make_resident(
    model: LanguageModel, catalogue: Catalogue, previous: Generation | None, progress: Progress
) -> dict[tuple[str, str], Resident]:
    variants = list(_variants(catalogue))
    resident = {}
    for done, (task, variant) in enumerate(variants):
        progress("prefixes", done, len(variants))
        resident[task.name, variant.name] = _carry(model, task, variant, previous) or _prefill(model, task, variant)
    progress("prefixes", len(variants), len(variants))
    return resident


def _variants(catalogue: Catalogue) -> Iterator[tuple[Task, Variant]]:
    for task in catalogue.tasks:
        for variant in task.variants:
            yield task, variant


def _carry(model: LanguageModel, task: Task, variant: Variant, previous: Generation | None) -> Resident | None:
    """The prefix that the previous generation holds for the same variant.

    Finding a static part takes hundreds of renderings: done again for every variant at every new policy, they would
    keep the interpreter from the requests for a second.
    """
    if previous is None or not same_model(model, previous.model):
        return None
    if not same_variant(task, variant, previous.catalogue):
        return None
    resident = previous.resident[task.name, variant.name]
    virtual = model.soft_prompt_tokens(variant.soft_prompt)
    if resident.prefix[: len(virtual)] != virtual:  # another soft prompt under the same name
        return None
    return resident if not resident.prefix or model.pin(resident.prefix) else None


def _prefill(model: LanguageModel, task: Task, variant: Variant) -> Resident:
    try:
        text = static_prefix(task, variant, None if model.chat is None else model.chat.render)
        tokens, _ = model.make_resident(text, variant.soft_prompt)
    except EdgeAutoGLMError as error:
        cause = f"task {task.name}, variant {variant.name}: {error.cause}"
        raise type(error)(cause, error.cure) from error
    return Resident(tokens, len(tokens) * model.engine.facts.kv_bytes_per_token)
