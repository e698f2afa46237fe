"""From a verified bundle to a language model over its engine."""

from __future__ import annotations

import numpy as np

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.manifest import EngineEntry
from edge_autoglm.device.budget import MemoryPlan, cache_part, check, engine_part, slots_part
from edge_autoglm.device.memory import memory_limit
from edge_autoglm.errors import MissingDependency
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer

_CACHE_TYPES = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}


def load_model(bundle: Bundle, threads: int, config: RuntimeConfig) -> LanguageModel:
    """Load the bundle's engine and tokenizer.

    Raises:
        MissingDependency: ONNX Runtime is not installed.
        MemoryBudgetExceeded: Engine, slots and caches together are larger than they may be; nothing was loaded.
        DamagedBundle: The graph or the tokenizer cannot be loaded.
    """
    check(memory_plan(bundle, config), config.memory_budget or memory_limit())
    facts = bundle.manifest.model
    tokenizer = Tokenizer(bundle.tokenizer_path)
    template = bundle.chat_template
    chat = None if template is None else ChatTemplate(template, facts.bos_token, facts.eos_token)
    return LanguageModel(
        _load_engine(bundle, threads, config),
        tokenizer,
        chat,
        eos_token_ids=facts.eos_token_ids,
        add_bos_id=tokenizer.token_id(facts.bos_token) if facts.add_bos and facts.bos_token else None,
        kv=KVStore(bundle.fingerprint, config.kv_cache_bytes),
        limits=ModelLimits(config.prefill_chunk, config.max_waiting, config.slot_timeout, config.speculate),
        seed=config.seed,
    )


def memory_plan(bundle: Bundle, config: RuntimeConfig) -> MemoryPlan:
    """What a runtime over a bundle takes at most; a second generation with other weights comes on top."""
    facts, entry = bundle.manifest.model, _engine_entry(bundle)
    stored = sum(file.size for file in bundle.manifest.files if file.path.startswith(entry.graph))
    width = np.dtype(_CACHE_TYPES[entry.kv_type]).itemsize
    kv_bytes = 2 * facts.layers * facts.kv_heads * facts.head_dim * width
    return MemoryPlan(
        (
            engine_part(stored, entry.precision),
            slots_part(config.slots, min(config.context_length, facts.context_length), kv_bytes),
            cache_part("KV cache", config.kv_cache_bytes),
            cache_part("response cache", config.response_cache_bytes),
        )
    )


def _engine_entry(bundle: Bundle) -> EngineEntry:
    present = [entry.kind for entry in bundle.manifest.engines]
    return bundle.engine(next((kind for kind in ("ort", "ort-past") if kind in present), "ort"))


def _load_engine(bundle: Bundle, threads: int, config: RuntimeConfig) -> Engine:
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
    )
