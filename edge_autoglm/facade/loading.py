"""From a verified bundle to a language model over its engine."""

from __future__ import annotations

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import MissingDependency
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer


def load_model(bundle: Bundle, threads: int, config: RuntimeConfig) -> LanguageModel:
    """Load the bundle's engine and tokenizer.

    Raises:
        MissingDependency: ONNX Runtime is not installed.
        DamagedBundle: The graph or the tokenizer cannot be loaded.
    """
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
        seed=config.seed,
        slot_timeout=config.slot_timeout,
    )


def _load_engine(bundle: Bundle, threads: int, config: RuntimeConfig) -> Engine:
    try:
        from edge_autoglm.runtime.engines.ort_engine import OrtEngine
        from edge_autoglm.runtime.engines.past_engine import PastEngine
    except ImportError as error:
        raise MissingDependency(
            "running a bundle needs ONNX Runtime", 'Install it: pip install "edge-autoglm[cpu]".'
        ) from error
    kinds: dict[str, type[OrtEngine | PastEngine]] = {"ort": OrtEngine, "ort-past": PastEngine}
    present = [entry.kind for entry in bundle.manifest.engines]
    entry = bundle.engine(next((kind for kind in kinds if kind in present), "ort"))
    return kinds[entry.kind].load(
        bundle.path(entry.graph),
        fingerprint=bundle.fingerprint,
        context_length=bundle.manifest.model.context_length,
        slots=config.slots,
        capacity=config.context_length,
        threads=threads,
    )
