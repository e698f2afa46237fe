"""From a verified bundle to a language model over its engine, on the device that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from edge_autoglm.bundle import Bundle
from edge_autoglm.device.budget import MemoryPart, check
from edge_autoglm.device.gpu_facts import GpuFacts, gpu_facts
from edge_autoglm.device.memory import memory_limit
from edge_autoglm.device.placement import Placement
from edge_autoglm.errors import DamagedBundle, DamagedPlan, DeviceUnavailable, EngineError, MissingDependency
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import AUTO, DeviceChoice, choose, order_of
from edge_autoglm.facade.engines import load_engine, placement_of
from edge_autoglm.facade.footprint import EXPORT_AGAIN, kv_bytes_per_token, memory_plan, model_parts
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer

_log = logging.getLogger("edge_autoglm")


def load_model(
    bundle: Bundle,
    threads: int,
    config: RuntimeConfig,
    beside: Iterable[LanguageModel] = (),
    turns: FairLock | None = None,
    device: str = AUTO,
) -> LanguageModel:
    """Load the bundle's engine and tokenizer.

    Args:
        bundle: Verified.
        threads: Of an engine on the CPU.
        config: Layout and limits.
        beside: Models that are in memory already, and stay there meanwhile.
        turns: Which engines of the process take; ``None`` for one that is alone.
        device: ``cpu``, ``cuda`` or ``tensorrt``; or ``auto`` for the best that runs it here.

    Raises:
        DeviceUnavailable: The device cannot run the bundle here.
        MissingDependency: A library is not installed.
        MemoryBudgetExceeded: Engine, slots and caches, and what is in memory beside them, are larger together than they
            may be; no engine was loaded.
        DamagedBundle: The graph or the tokenizer cannot be loaded, or the graph is not as the manifest says.
        DamagedPlan: A plan that was rebuilt here is not what it was.
        EngineError: The device fails.
    """
    facts = bundle.manifest.model
    tokenizer = Tokenizer(bundle.tokenizer_path)
    template = bundle.chat_template
    chat = None if template is None else ChatTemplate(template, facts.bos_token, facts.eos_token)
    # Forks and models that joined another one share an engine.
    engines = {model.engine.facts.fingerprint: model.placement for model in beside}
    held = [part for placement in engines.values() for part in placement.memory]
    loading = _Loading(threads, config, turns, held, cache(gpu_facts))
    engine, placement = loading.first_that_runs(bundle, order_of(device))
    return LanguageModel(
        engine,
        tokenizer,
        chat,
        eos_token_ids=facts.eos_token_ids,
        add_bos_id=tokenizer.token_id(facts.bos_token) if facts.add_bos and facts.bos_token else None,
        kv=KVStore(engine.facts.fingerprint, config.kv_cache_bytes),
        limits=ModelLimits(config.prefill_chunk, config.max_waiting, config.slot_timeout, config.speculate),
        seed=config.seed,
        placement=placement,
    )


@dataclass(frozen=True, slots=True)
class _Loading:
    """How engines are loaded.

    Attributes:
        threads, config, turns: As ``load_model`` has them.
        held: Parts of the models beside them.
        facts: Of this machine, looked up once.
    """

    threads: int
    config: RuntimeConfig
    turns: FairLock | None
    held: Sequence[MemoryPart]
    facts: Callable[[], GpuFacts]

    def first_that_runs(
        self, bundle: Bundle, devices: Sequence[str], passed_over: tuple[str, ...] = ()
    ) -> tuple[Engine, Placement]:
        """The engine on the first device that runs it; what goes wrong on the last one is an error."""
        device, *others = devices
        try:
            choice = choose(bundle, device, self.facts)
            engine = self._load(choice)
        except (DeviceUnavailable, MissingDependency, DamagedPlan, EngineError) as error:
            if not others:
                raise
            _log.info("%s is not used: %s", device, error)
            passed_over = (*passed_over, f"{device}: {error}")
        else:
            memory = model_parts(choice, self.config)
            return engine, replace(placement_of(choice), memory=memory, passed_over=passed_over)
        return self.first_that_runs(bundle, others, passed_over)

    def _load(self, choice: DeviceChoice) -> Engine:
        gpu = None if choice.gpu is None else choice.gpu.memory
        check(memory_plan(choice, self.config, self.held), self.config.memory_budget or memory_limit(), gpu)
        engine = load_engine(choice, self.threads, self.config, self.turns)
        found, said = engine.facts.kv_bytes_per_token, kv_bytes_per_token(choice.bundle, choice.entry)
        if found > said:
            engine.close()
            cause = f"the graph of {choice.bundle.root} takes {found} bytes of KV a token, its manifest says {said}"
            raise DamagedBundle(cause, EXPORT_AGAIN)
        return engine
