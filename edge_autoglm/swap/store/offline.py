"""Promotion and rollback in a state folder that no runtime has open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_autoglm.errors import PolicyError, StateError, StateLocked
from edge_autoglm.learn.folder import open_folder
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.reading import read_frozen
from edge_autoglm.learn.snapshot_format import encode
from edge_autoglm.swap.store.layout import GENERATIONS
from edge_autoglm.swap.store.new import NewGeneration
from edge_autoglm.swap.store.record import GenerationRecord
from edge_autoglm.swap.store.store import GenerationStore
from edge_autoglm.values import Progress, silent


@contextmanager
def offline_store(state: Path, instead: str) -> Iterator[GenerationStore]:
    """The generations of a state folder, locked for as long as the block runs.

    Args:
        state: The folder.
        instead: What to call where a runtime has it open.

    Raises:
        StateError: No generation is kept there.
        StateLocked: A runtime has it open.
        StateNotWritable: It cannot be written to.
    """
    if not (state / GENERATIONS).is_dir():
        raise StateError(f"{state} holds no generations", "Name the state folder of a runtime that has run.")
    try:
        folder = open_folder(state)
    except StateLocked as error:
        raise StateLocked(
            f"the state folder {state} is in use by a runtime", f"Call {instead} in that app, or close it first."
        ) from error
    try:
        yield GenerationStore(state / GENERATIONS, keep=sys.maxsize, budget_bytes=sys.maxsize)  # the app has limits
    finally:
        folder.lock.release()


def promote(
    store: GenerationStore, state: Path, settings: VariantPolicy, progress: Progress = silent
) -> GenerationRecord | None:
    """Make what has been learnt a generation that the next start comes up on.

    Args:
        store: Of the state folder.
        state: The folder.
        settings: Of the policy that the runtime learns with; what it knows is left out.
        progress: Told of each stage.

    Returns:
        The new generation; ``None`` where the active one knows all that has been learnt.

    Raises:
        StateError: Nothing is active, or nothing was learnt yet.
        StateDamaged: The active generation, or a file of the learner, is not as it was written.
        BundleError: The active generation's bundle is damaged.
        PolicyError: The policy has numbers that are not finite, is of other settings than the active one's, or cannot
            be written down.
        StateNotWritable: The disk is full, or fails; everything is as it was.
    """
    active = _active(store)
    bundle, known = store.open(active.number, progress)
    if not settings.can_snapshot:
        raise PolicyError("this policy cannot be written down", "Promote it in the app: rt.learner.promote().")
    learnt = read_frozen(state, settings, progress)
    broken = learnt.broken_numbers()
    if broken:
        raise PolicyError(f"{broken} numbers of what was learnt are not finite", "Go on with the active generation.")
    if known is not None:
        settings.revive(known)  # whatever has other settings would not be taken at the next start either
    new = NewGeneration(store.last_number + 1, bundle, encode(learnt.state()), "learnt policy, promoted by hand")
    if new.policy_digest == active.policy_digest:
        return None
    record = store.add(new, active.number, running=active.number)
    store.activate(new.number, {})
    return record


def roll_back(store: GenerationStore, version: str | None = None, progress: Progress = silent) -> GenerationRecord:
    """Let the next start come up on another generation, which is verified first; the active one is given up.

    Args:
        store: Of the state folder.
        version: Of the generation; by default the last good one before the active one.
        progress: Told of each stage.

    Raises:
        StateError: There is none, or it is active already.
        StateDamaged: The generation is not as it was written; nothing changed.
        BundleError: Likewise.
        StateNotWritable: The disk is full, or fails.
    """
    target = _named(store, version) if version is not None else _before(store)
    store.open(target.number, progress)
    if not target.good:
        store.restore(target.number, "chosen by hand")
    store.give_up(_active(store).number, "rolled back by hand", instead=target.number)
    return target


def _active(store: GenerationStore) -> GenerationRecord:
    active = store.active()
    if active is None:
        raise StateError(f"no generation in {store.folder} is active", "Open a runtime on the state folder once.")
    return active


def _before(store: GenerationStore) -> GenerationRecord:
    active, before = _active(store), store.previous_good()
    if before is None:
        raise StateError(
            f"there is no good generation before version {active.version}", "Name one that is kept with --to."
        )
    return before


def _named(store: GenerationStore, version: str) -> GenerationRecord:
    active = _active(store)
    kept = [record for record in store.records() if record.number != active.number]
    for record in reversed(kept):
        if str(record.version) == version:
            return record
    if version == str(active.version):
        raise StateError(f"version {version} is active already", "Name another one.")
    versions = ", ".join(str(record.version) for record in kept) or "none"
    raise StateError(f"no generation of version {version} is kept", f"Name one of: {versions}.")
