"""A runtime over a scripted engine, so that a test knows every answer and decides when a pass runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_autoglm import Runtime
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.kv_pack import PrefixPack
from edge_autoglm.facade.standby import GenerationBuilder
from edge_autoglm.learn.learner import Learner
from edge_autoglm.prompts import Catalogue, Variant
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.swap.build import build_generation
from tests.checkpoints import VOCAB_SIZE
from tests.swap.world import BUNDLE, CHAT, EOS, TOKENIZER, label_task, script, text_task
from tests.waiting import GatedEngine, wait_until

ASKED = {"text": "It was late."}


def open_scripted(engine: Engine, *variants: Variant, **settings: Any) -> Runtime:
    """A runtime whose first generation runs on an engine; its task ``reply`` answers a text, ``mood`` gives a label.

    Args:
        engine: Owned by the runtime.
        variants: Of ``reply``, besides ``plain``.
        settings: Of `RuntimeConfig`.
    """
    config = RuntimeConfig(seed=1, promote_every=None, slots=engine.facts.slots, **settings)
    learner, pack = Learner.open(None, seed=config.seed, price=config.reward_price), PrefixPack(None, 1)
    model = LanguageModel(
        engine,
        TOKENIZER,
        CHAT,
        [EOS],
        None,
        KVStore(engine.facts.fingerprint, config.kv_cache_bytes),
        ModelLimits(config.prefill_chunk, config.max_waiting, config.slot_timeout, config.speculate),
        seed=config.seed,
    )
    catalogue = Catalogue([text_task(*variants), label_task()])
    first = build_generation(1, BUNDLE, model, catalogue, learner.frozen(), None, "opened")
    return Runtime(learner, GenerationBuilder(learner, config, 1, pack), first, pack, config)


def gated(slots: int = 4, answers: Mapping[str, str] | None = None) -> GatedEngine:
    """An engine that is open while a runtime is made of it; ``hold`` it then."""
    engine = GatedEngine(VOCAB_SIZE, slots=slots, script=script(answers or {}))
    engine.open_gate()
    return engine


def busy(runtime: Runtime) -> tuple[int, int, int]:
    """Slots in use, requests that wait, and leases of the active generation."""
    generation = runtime._buffer.active
    return generation.model.scheduler.busy, generation.model.scheduler.waiting, generation.leases


def wait_for_idle(runtime: Runtime) -> None:
    """Until no request runs, waits or holds a lease."""
    wait_until(lambda: busy(runtime) == (0, 0, 0))
