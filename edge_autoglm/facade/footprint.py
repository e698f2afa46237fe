"""What a runtime over a bundle takes at most, in the machine's memory and in the GPU's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.manifest import EngineEntry
from edge_autoglm.device.budget import MemoryPart, MemoryPlan, cache_part, engine_part, slots_part, standard_part
from edge_autoglm.errors import DamagedBundle
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import STANDARD, DeviceChoice

EXPORT_AGAIN = "Export the model again."
_CACHE_TYPES = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}
_CHECKING = 2
"""Forks of one slot while a generation is built and checked: itself, and the active one to compare it with."""


def memory_plan(choice: DeviceChoice, config: RuntimeConfig, beside: Iterable[MemoryPart] = ()) -> MemoryPlan:
    """What a runtime takes.

    Args:
        choice: What is to be loaded.
        config: Layout and limits.
        beside: Parts of other generations that are in memory as well, as during a swap.
    """
    responses = cache_part("response cache", config.response_cache_bytes)
    held = (replace(part, name=f"{part.name} of a generation beside it") for part in beside)
    return MemoryPlan((*model_parts(choice, config), responses, *held))


def model_parts(choice: DeviceChoice, config: RuntimeConfig) -> tuple[MemoryPart, ...]:
    """What an engine takes for itself, its slots and the KV that outlives requests.

    The standard graph has whole blocks of slots. Where the GPU has memory of its own, all of their columns are
    committed at once, and those of the forks that check a new generation with them; elsewhere, what is used. The
    manifest does not say how many columns a graph has: one that was exported for more tokens than a slot is to hold
    takes more, and the GPU's own refusal is the last word.
    """
    facts, entry = choice.bundle.manifest.model, choice.entry
    tokens, slots = min(config.context_length, facts.context_length), config.slots
    token_bytes = kv_bytes_per_token(choice.bundle, entry)
    on_gpu = choice.gpu is not None and choice.gpu.memory is not None
    if choice.sizes is not None:
        rows = choice.sizes.rows
        slots = (-(-slots // rows) + (_CHECKING if on_gpu else 0)) * rows
        tokens = entry.columns
    parts = (
        _engine_part(choice),
        slots_part(slots, tokens, token_bytes),
        cache_part("KV cache", config.kv_cache_bytes),
    )
    return tuple(replace(part, on_gpu=on_gpu) for part in parts)


def kv_bytes_per_token(bundle: Bundle, entry: EngineEntry) -> int:
    """What a token takes in an engine's KV cache."""
    facts = bundle.manifest.model
    if entry.kv_type not in _CACHE_TYPES:
        raise DamagedBundle(f"the manifest of {bundle.root} names the KV type {entry.kv_type!r}", EXPORT_AGAIN)
    return 2 * facts.layers * facts.kv_heads * facts.head_dim * np.dtype(_CACHE_TYPES[entry.kv_type]).itemsize


def _engine_part(choice: DeviceChoice) -> MemoryPart:
    manifest, entry = choice.bundle.manifest, choice.entry
    stored = sum(file.size for file in manifest.files if file.path.startswith(entry.graph))
    if entry.kind != STANDARD:
        return engine_part(stored, entry.precision)
    if choice.plan is not None:
        stored = choice.plan.size
    return standard_part(stored, entry.precision, manifest.model.parameters, choice.device)
