"""Soft prompts of a generation's variants: held in memory before any of its prompts is computed."""

from __future__ import annotations

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.bundle import soft_prompt_file
from edge_autoglm.bundle.manifest import FileEntry
from edge_autoglm.errors import BundleError, EdgeAutoGLMError
from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.runtime.kv.soft_prompt import load_soft_prompt
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.generation import Generation


def hold_soft_prompts(model: LanguageModel, bundle: Bundle, catalogue: Catalogue, previous: Generation | None) -> None:
    """Pin the KV of every soft prompt that a variant names, until the model is closed.

    What the previous generation holds is not read again.

    Raises:
        BundleError: A file is missing, damaged, or of another engine.
        MemoryBudgetExceeded: The KV store has no room. All of these name task and variant.
    """
    known = None if previous is None else previous.bundle
    for task in catalogue.tasks:
        for variant in task.variants:
            if variant.soft_prompt is None:
                continue
            try:
                _hold(model, bundle, known, variant.soft_prompt)
            except EdgeAutoGLMError as error:
                cause = f"task {task.name}, variant {variant.name}: {error.cause}"
                raise type(error)(cause, error.cure) from error


def _hold(model: LanguageModel, bundle: Bundle, known: Bundle | None, name: str) -> None:
    entry = _entry(bundle, name)
    if entry is None:
        raise BundleError(
            f"the bundle {bundle.root} has no {soft_prompt_file(name)}",
            "Import the soft prompt (edge-autoglm prompts import-soft), or take soft_prompt out of the task file.",
        )
    if known is not None and _entry(known, name) == entry and model.pin_soft_prompt(name):
        return
    model.hold_soft_prompt(name, load_soft_prompt(bundle.path(entry.path), model.engine.facts.fingerprint))


def _entry(bundle: Bundle, name: str) -> FileEntry | None:
    path = soft_prompt_file(name)
    return next((entry for entry in bundle.manifest.files if entry.path == path), None)
