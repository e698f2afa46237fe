"""What goes into the standby buffer: a generation with a new policy, or one from another bundle."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.device.unhurried import run_unhurried
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import AUTO
from edge_autoglm.facade.kv_pack import PrefixPack
from edge_autoglm.facade.loading import load_model
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.policy import FrozenPolicy
from edge_autoglm.prompts import Catalogue
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.build import build_generation
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.store.record import GenerationRecord
from edge_autoglm.swap.store.store import GenerationStore
from edge_autoglm.values import Progress, silent

_log = logging.getLogger("edge_autoglm")


class GenerationBuilder:
    """Builds generations for one runtime. Weights are shared wherever the engine is the same.

    Args:
        learner: Of the runtime.
        config: Layout and limits.
        threads: Of engines on the CPU.
        pack: Resident prefixes on disk.
        device: That was asked for, for every bundle alike; see ``load_model``.
    """

    def __init__(
        self, learner: Learner, config: RuntimeConfig, threads: int, pack: PrefixPack, device: str = AUTO
    ) -> None:
        self._learner = learner
        self._config = config
        self._threads = threads
        self._pack = pack
        self._device = device
        self._turns = FairLock()

    def policy(self, known: ModelState | None = None) -> FrozenPolicy:
        """What has been learnt, or ``FrozenPolicy.state`` of an earlier one.

        Raises:
            PolicyError: That is of a policy of another kind or other settings.
        """
        return self._learner.frozen(known)

    @property
    def trusted_keys(self) -> tuple[str, ...] | None:
        """Of which one must have signed a bundle."""
        return self._config.trusted_keys

    def first(
        self, bundle: Bundle, policy: FrozenPolicy, number: int = 1, reason: str = "opened", progress: Progress = silent
    ) -> Generation:
        """The generation with which a runtime opens, from a bundle that has been verified."""
        catalogue = self._catalogue(bundle)
        model = load_model(bundle, self._threads, self._config, turns=self._turns, device=self._device)
        self._pack.restore(model)
        generation = build_generation(number, bundle, model, catalogue, policy, None, reason, progress)
        self._pack.save_soon(model)
        return generation

    def with_policy(self, active: Generation, number: int) -> Generation:
        """The active generation with what has been learnt since."""
        policy, model = self._learner.frozen(), active.model.fork()
        return build_generation(number, active.bundle, model, active.catalogue, policy, active, "learnt policy", silent)

    def from_bundle(self, active: Generation, number: int, path: Path, held: Sequence[Generation] = ()) -> Generation:
        """A generation from a bundle on disk, verified before anything of it is used.

        Args:
            active: What answers now.
            number: Of the new one.
            path: Folder of the bundle.
            held: Others that stay in memory beside the two.
        """
        bundle = run_unhurried(lambda: Bundle.open(path, trusted_keys=self.trusted_keys))
        policy, model = self._learner.frozen(), self._model(bundle, active, held)
        return build_generation(
            number, bundle, model, self._catalogue(bundle), policy, active, f"bundle {path.name}", silent
        )

    def kept(self, active: Generation, record: GenerationRecord, store: GenerationStore) -> Generation:
        """An earlier generation from the disk, verified before anything of it is used; it keeps its number."""
        bundle, known = run_unhurried(lambda: store.open(record.number, trusted_keys=self.trusted_keys))
        policy, model = self.policy(known), self._model(bundle, active, ())
        catalogue = self._catalogue(bundle)
        return build_generation(record.number, bundle, model, catalogue, policy, active, record.reason, silent)

    def _model(self, bundle: Bundle, active: Generation, held: Sequence[Generation]) -> LanguageModel:
        if bundle.fingerprint == active.bundle.fingerprint:
            return active.model.fork()
        beside = [generation.model for generation in (active, *held)]
        return load_model(bundle, self._threads, self._config, beside, self._turns, self._device)

    def _catalogue(self, bundle: Bundle) -> Catalogue:
        catalogue = Catalogue.load(bundle.task_files())
        if bundle.chat_template is None:
            catalogue = _without_chat(catalogue)
        wanted = self._config.tasks
        return catalogue if wanted is None else Catalogue(catalogue.task(name) for name in wanted)


def _without_chat(catalogue: Catalogue) -> Catalogue:
    """What a base model can answer: tasks and variants that need no chat template."""
    kept, dropped = [], []
    for task in catalogue.tasks:
        variants = tuple(variant for variant in task.variants if variant.messages is None)
        dropped += [f"{task.name}/{variant.name}" for variant in task.variants if variant not in variants]
        if variants:
            kept.append(replace(task, variants=variants))
    if dropped:
        _log.warning("the model has no chat template; left out: %s", ", ".join(dropped))
    return Catalogue(kept)
