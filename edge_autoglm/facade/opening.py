"""What a runtime comes up with: the last good generation, or the bundle of a new release of the app."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import (
    DamagedBundle,
    EdgeAutoGLMError,
    ForeignBundle,
    PolicyError,
    StateDamaged,
    StateError,
)
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.standby import GenerationBuilder
from edge_autoglm.learn.policy import FrozenPolicy
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.store.layout import GENERATIONS
from edge_autoglm.swap.store.new import NewGeneration
from edge_autoglm.swap.store.record import GenerationRecord
from edge_autoglm.swap.store.store import GenerationStore
from edge_autoglm.values import Progress, silent

_DAMAGE = (StateDamaged, DamagedBundle, ForeignBundle)

_log = logging.getLogger("edge_autoglm")


def open_store(state: Path | str | None, config: RuntimeConfig) -> GenerationStore | None:
    """The generations of a state folder, which the caller has locked.

    A folder that cannot be used is logged: it costs the last good generation, not the start.
    """
    if state is None:
        return None
    try:
        return GenerationStore(Path(state) / GENERATIONS, config.keep_generations, config.generation_bytes)
    except StateError as error:
        _log.warning("generations are not kept: %s", error)
        return None


def first_generation(
    bundle: Path, store: GenerationStore | None, builder: GenerationBuilder, progress: Progress = silent
) -> Generation:
    """What answers the first request.

    The active generation of the store, and where that cannot be used the last good one before it. A bundle that the
    store has never seen is a new release of the app: it becomes a generation of its own, and goes first. Where nothing
    else works, the bundle is used in any case.

    Args:
        bundle: That the app brings; where the store has something that works, it may be missing or damaged.
        store: ``None`` keeps nothing.
        builder: Makes the generation.
        progress: Told of each stage.

    Raises:
        EdgeAutoGLMError: The bundle cannot be used, and nothing else can.
    """
    if store is None:
        opened = Bundle.open(bundle, progress=progress, trusted_keys=builder.trusted_keys)
        return builder.first(opened, builder.policy(), progress=progress)
    return _Opening(bundle, store, builder, progress).generation()


def check_brought(bundle: Path, state: Path | str | None) -> None:
    """Refuse a bundle that is none before anything is made or replayed for it, unless something is kept to come up on.

    Raises:
        BundleError: The bundle is missing, foreign, or has files of another size.
    """
    if state is None or not (Path(state) / GENERATIONS).exists():
        Bundle.open(bundle, verify=False)


class _Opening:
    def __init__(self, bundle: Path, store: GenerationStore, builder: GenerationBuilder, progress: Progress) -> None:
        self._bundle = bundle
        self._store = store
        self._builder = builder
        self._progress = progress
        self._damaged: dict[int, str] = {}

    def generation(self) -> Generation:
        generation = self._found()
        for number, cause in self._damaged.items():
            with _logged("what is damaged is tried again at the next start"):
                self._store.give_up(number, cause, instead=generation.number)
        return generation

    def _found(self) -> Generation:
        if self._is_new_release():
            with _logged("the new bundle is not used"):
                return self._brought()
        for record in self._store.candidates():
            with _logged(f"generation {record.number} (version {record.version}) is not used"):
                return self._kept(record)
        return self._brought()

    def _is_new_release(self) -> bool:
        """Not where nothing is active: then the bundle is used without being new."""
        new = False
        if self._store.active() is not None:
            with _logged("the bundle that the app brings is not used"):
                new = not self._store.knows(Bundle.open(self._bundle, verify=False).digest)
        return new

    def _kept(self, record: GenerationRecord) -> Generation:
        try:
            bundle, known = self._store.open(record.number, self._progress, self._builder.trusted_keys)
        except _DAMAGE as error:
            self._damaged[record.number] = error.cause
            raise
        try:
            policy = self._builder.policy(known)
        except PolicyError as error:
            _log.warning("generation %d goes on with another policy: %s", record.number, error)
            return self._adopted(bundle, self._builder.policy(), "policy of other settings", record)
        return self._builder.first(bundle, policy, record.number, record.reason, self._progress)

    def _brought(self) -> Generation:
        """The app's bundle; with the policy that answered until now, which was checked, where there is one."""
        bundle = Bundle.open(self._bundle, progress=self._progress, trusted_keys=self._builder.trusted_keys)
        active = self._store.active()
        policy = self._builder.policy()
        if active is not None:
            with _logged("what has been learnt goes live with the bundle"):
                policy = self._builder.policy(self._store.policy(active))
        return self._adopted(bundle, policy, "opened", active)

    def _adopted(
        self, bundle: Bundle, policy: FrozenPolicy, reason: str, parent: GenerationRecord | None
    ) -> Generation:
        """A generation of its own, written down as good; where that fails, it answers all the same."""
        number = self._store.last_number + 1
        generation = self._builder.first(bundle, policy, number, reason, self._progress)
        try:
            with _logged(f"generation {number} is not kept, and a restart does not come up on it"):
                self._store.add(NewGeneration.of(generation), None if parent is None else parent.number)
                self._store.activate(number, {})
        except BaseException:
            generation.retire()
            raise
        return generation


@contextmanager
def _logged(consequence: str) -> Iterator[None]:
    """Whatever goes wrong with what is kept, the runtime opens."""
    try:
        yield
    except EdgeAutoGLMError as error:
        _log.warning("%s: %s", consequence, error)
