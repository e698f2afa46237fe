"""From a verified bundle to a language model over its engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.manifest import EngineEntry
from edge_autoglm.device.budget import MemoryPart, MemoryPlan, cache_part, check, engine_part, slots_part
from edge_autoglm.device.memory import memory_limit
from edge_autoglm.errors import DamagedBundle, MissingDependency
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer

_EXPORT_AGAIN = "Export the model again."
_CACHE_TYPES = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}


def load_model(
    bundle: Bundle,
    threads: int,
    config: RuntimeConfig,
    beside: Iterable[Bundle] = (),
    turns: FairLock | None = None,
) -> LanguageModel:
    """Load the bundle's engine and tokenizer.

    Args:
        bundle: Verified.
        threads: Of the engine.
        config: Layout and limits.
        beside: Bundles whose generations are in memory already, and stay there meanwhile.
        turns: Which engines of the process take; ``None`` for one that is alone.

    Raises:
        MissingDependency: ONNX Runtime is not installed.
        MemoryBudgetExceeded: Engine, slots and caches, and what is in memory beside them, are larger together than they
            may be; nothing was loaded.
        DamagedBundle: The graph or the tokenizer cannot be loaded, or the graph is not as the manifest says.
    """
    check(memory_plan(bundle, config, beside), config.memory_budget or memory_limit())
    facts = bundle.manifest.model
    tokenizer = Tokenizer(bundle.tokenizer_path)
    template = bundle.chat_template
    chat = None if template is None else ChatTemplate(template, facts.bos_token, facts.eos_token)
    engine = _load_engine(bundle, threads, config, turns)
    if engine.facts.kv_bytes_per_token > kv_bytes_per_token(bundle):
        found = engine.facts.kv_bytes_per_token
        engine.close()
        raise DamagedBundle(
            f"the graph of {bundle.root} takes {found} bytes of KV a token, its manifest says "
            f"{kv_bytes_per_token(bundle)}",
            _EXPORT_AGAIN,
        )
    return LanguageModel(
        engine,
        tokenizer,
        chat,
        eos_token_ids=facts.eos_token_ids,
        add_bos_id=tokenizer.token_id(facts.bos_token) if facts.add_bos and facts.bos_token else None,
        kv=KVStore(bundle.fingerprint, config.kv_cache_bytes),
        limits=ModelLimits(config.prefill_chunk, config.max_waiting, config.slot_timeout, config.speculate),
        seed=config.seed,
    )


def memory_plan(bundle: Bundle, config: RuntimeConfig, beside: Iterable[Bundle] = ()) -> MemoryPlan:
    """What a runtime over a bundle takes at most.

    Args:
        bundle: What is to be loaded.
        config: Layout and limits.
        beside: Bundles whose generations are in memory as well, as during a swap; those of one engine share it.
    """
    others = {other.fingerprint: other for other in beside if other.fingerprint != bundle.fingerprint}
    held = [
        replace(part, name=f"{part.name} of a generation beside it")
        for other in others.values()
        for part in _model_parts(other, config)
    ]
    responses = cache_part("response cache", config.response_cache_bytes)
    return MemoryPlan((*_model_parts(bundle, config), responses, *held))


def _model_parts(bundle: Bundle, config: RuntimeConfig) -> tuple[MemoryPart, ...]:
    facts, entry = bundle.manifest.model, _engine_entry(bundle)
    stored = sum(file.size for file in bundle.manifest.files if file.path.startswith(entry.graph))
    return (
        engine_part(stored, entry.precision),
        slots_part(config.slots, min(config.context_length, facts.context_length), kv_bytes_per_token(bundle)),
        cache_part("KV cache", config.kv_cache_bytes),
    )


def kv_bytes_per_token(bundle: Bundle) -> int:
    """What a token takes in the engine's KV cache."""
    facts, kv_type = bundle.manifest.model, _engine_entry(bundle).kv_type
    if kv_type not in _CACHE_TYPES:
        raise DamagedBundle(f"the manifest of {bundle.root} names the KV type {kv_type!r}", _EXPORT_AGAIN)
    return 2 * facts.layers * facts.kv_heads * facts.head_dim * np.dtype(_CACHE_TYPES[kv_type]).itemsize


def _engine_entry(bundle: Bundle) -> EngineEntry:
    present = [entry.kind for entry in bundle.manifest.engines]
    return bundle.engine(next((kind for kind in ("ort", "ort-past") if kind in present), "ort"))


def _load_engine(bundle: Bundle, threads: int, config: RuntimeConfig, turns: FairLock | None) -> Engine:
    try:
        from edge_autoglm.runtime.engines.ort_engine import OrtEngine
        from edge_autoglm.runtime.engines.past_engine import PastEngine
    except ImportError as error:
        raise MissingDependency(
            "running a bundle needs ONNX Runtime", 'Install it: pip install "edge-autoglm[cpu]".'
        ) from error
    kinds: dict[str, type[OrtEngine | PastEngine]] = {"ort": OrtEngine, "ort-past": PastEngine}
    entry = _engine_entry(bundle)
    return kinds[entry.kind].load(
        bundle.path(entry.graph),
        fingerprint=bundle.fingerprint,
        context_length=bundle.manifest.model.context_length,
        slots=config.slots,
        capacity=config.context_length,
        threads=threads,
        turns=turns,
    )
