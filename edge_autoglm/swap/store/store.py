"""Generations on disk: what swaps write down, and what a restart comes up on."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge_autoglm.bundle import Bundle, fsync_folder, write_bytes_atomic
from edge_autoglm.errors import StateDamaged, StateError, StateNotWritable
from edge_autoglm.learn.journal import PRIVATE, not_writable
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.snapshot_format import decode
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.store.filing import file_generation, places_of
from edge_autoglm.swap.store.layout import (
    BUNDLE,
    POINTER,
    POLICY,
    RECORD,
    clear_leftovers,
    generation_folder,
    kept_numbers,
    put_away,
)
from edge_autoglm.swap.store.new import NewGeneration, new_record
from edge_autoglm.swap.store.pointer import Pointer, encode_pointer
from edge_autoglm.swap.store.reading import KeptGenerations, read_generations
from edge_autoglm.swap.store.record import GenerationRecord, Standing, encode_record
from edge_autoglm.swap.store.retention import files_of, superfluous
from edge_autoglm.values import Progress, silent

_log = logging.getLogger("edge_autoglm")

KEEP = 5
BUDGET_BYTES = 4 << 30
_INTERRUPTED = "the process ended before it was decided"


class GenerationStore:
    """Keeps the last generations under a byte budget; a `Ledger`. Thread-safe; one process at a time may have it open.

    Nothing is remembered but what is on the disk. Power loss at any moment leaves the pointer on the old generation or
    on the new one, whole; what was being put together or decided is cleared away at the next opening.

    Args:
        folder: Made where it does not exist; its parent is the state folder, which the caller has locked.
        keep: How many generations to keep. Never deleted are the active one, the last good one before it, and one
            that is proposed.
        budget_bytes: That all may take together, files shared by hard links counted once.

    Raises:
        StateNotWritable: The folder cannot be made or read.
    """

    def __init__(self, folder: Path, keep: int = KEEP, budget_bytes: int = BUDGET_BYTES) -> None:
        self.folder = folder
        self._keep = keep
        self._budget_bytes = budget_bytes
        self._lock = threading.RLock()
        with self._writing():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fsync_folder(folder.parent)
            clear_leftovers(folder)
        self._settle()

    def records(self) -> tuple[GenerationRecord, ...]:
        """Of all that are kept and readable, by number."""
        return tuple(record for _, record in sorted(self._read().records.items()))

    def active(self) -> GenerationRecord | None:
        """What a restart comes up on."""
        return self._read().active

    def previous_good(self) -> GenerationRecord | None:
        """The last good one before the active one."""
        kept = self._read()
        return None if kept.pointer.active is None else kept.previous_good(kept.pointer.active)

    def candidates(self) -> Iterator[GenerationRecord]:
        """What a restart may come up on: the active one, then the good ones before it, the last one first."""
        kept = self._read()
        number = kept.pointer.active
        if kept.active is not None and kept.active.good:
            yield kept.active
        while number is not None and (before := kept.previous_good(number)) is not None:
            yield before
            number = before.number

    @property
    def last_number(self) -> int:
        """The highest number that was ever used here; 0 before the first."""
        return self._read().last_number

    def knows(self, bundle_digest: str) -> bool:
        """Whether a bundle was active or given up before, so that it is not a new release."""
        return bundle_digest in self._read().pointer.bundles

    def open(
        self, number: int, progress: Progress = silent, trusted_keys: Sequence[str] | None = None
    ) -> tuple[Bundle, ModelState | None]:
        """Bundle and policy of a generation, verified.

        Args:
            number: Of a generation that is kept.
            progress: See ``Bundle.open``.
            trusted_keys: Likewise.

        Raises:
            StateDamaged: The generation is not there, or a file is not as it was written.
            BundleError: Its bundle is damaged, or signed by nobody who is trusted.
        """
        record = self._recorded(self._read(), number)
        root = generation_folder(self.folder, number) / BUNDLE
        bundle = Bundle.open(root, progress=progress, trusted_keys=trusted_keys)
        if bundle.digest != record.bundle_digest:
            raise _damaged(bundle.root, f"it is the bundle {bundle.digest}, not {record.bundle_digest}")
        return bundle, self.policy(record)

    def policy(self, record: GenerationRecord) -> ModelState | None:
        """The policy of a generation, verified; ``None`` where it could not be written down.

        Raises:
            StateDamaged: The file is not as it was written.
        """
        if record.policy_digest is None:
            return None
        path = generation_folder(self.folder, record.number) / POLICY
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != record.policy_digest:
                raise ValueError("its checksum does not match")
            return decode(content)
        except (OSError, ValueError) as error:
            raise _damaged(path, getattr(error, "strerror", None) or str(error)) from error

    def propose(self, candidate: Generation, parent: Generation) -> None:
        """See `Ledger`; a policy or prompt set takes no second copy of the weights.

        Raises:
            StateNotWritable: The disk is full, or fails; everything is as it was.
            BundleError: A file of its bundle is gone.
        """
        self.add(NewGeneration.of(candidate), parent.number, running=parent.number)

    def add(self, new: NewGeneration, parent: int | None, running: int | None = None) -> GenerationRecord:
        """Keep a generation, as proposed; see ``propose``.

        Args:
            new: What it is made of.
            parent: Number of the one that it was built on.
            running: Number of the one that answers requests now; its files are not verified again.
        """
        with self._lock:
            kept = self._read()
            if new.number in kept.records or new.number in kept.unreadable:
                raise StateError(
                    f"a generation {new.number} is kept in {self.folder} already",
                    f"Number it {kept.last_number + 1} or above.",
                )
            record = new_record(kept, new, parent)
            with self._writing():
                places = places_of(self.folder, list(kept.records), new.bundle, running)
                file_generation(self.folder, new.number, new.bundle, encode_record(record), new.policy, places)
            self._prune()
            return record

    def activate(self, number: int, metrics: Mapping[str, float]) -> None:
        """See `Ledger`.

        Raises:
            StateDamaged: Its record is not as it was written.
            StateNotWritable: The disk is full, or fails; the pointer is where it was.
        """
        with self._lock:
            kept = self._read()
            record = self._recorded(kept, number)
            good = replace(record, metrics=metrics, standing=Standing.GOOD, standing_reason="passed every stage")
            with self._writing():
                self._write_record(good)
                pointer = kept.pointer.knowing(record.bundle_digest, kept.last_number)
                self._write_pointer(replace(pointer, active=number))
            self._prune()

    def give_up(self, number: int, reason: str, instead: int | None) -> None:
        """See `Ledger`; ``instead`` becomes the active one where ``number`` is that.

        Raises:
            StateNotWritable: The disk is full, or fails. A restart does not come up on ``number`` all the same.
        """
        with self._lock:
            kept = self._read()
            record = kept.records.get(number)
            pointer = replace(kept.pointer, last_number=kept.last_number)
            if record is not None:
                pointer = pointer.knowing(record.bundle_digest, number)
            if pointer.active == number:
                pointer = replace(pointer, active=instead if instead in kept.records else None)
            try:
                with self._writing():
                    self._write_pointer(pointer)
                    if record is not None:
                        self._write_record(replace(record, standing=Standing.GIVEN_UP, standing_reason=reason))
            except StateNotWritable:
                self._drop(number)  # takes no room
                raise
            self._prune()

    def restore(self, number: int, reason: str) -> None:
        """Let a generation be good again that was given up.

        Raises:
            StateDamaged: Its record is not as it was written.
            StateNotWritable: The disk is full, or fails.
        """
        with self._lock, self._writing():
            record = self._recorded(self._read(), number)
            self._write_record(replace(record, standing=Standing.GOOD, standing_reason=reason))

    def _settle(self) -> None:
        """Name what is damaged, and give up what a process had proposed that is gone: nobody knows how it did."""
        kept = self._read()
        for fault in kept.unreadable.values():
            _log.warning("%s", fault)
        try:
            with self._writing():
                self._settle_pointer(kept)
                for record in kept.records.values():
                    if record.standing is Standing.PROPOSED:
                        self._write_record(replace(record, standing=Standing.GIVEN_UP, standing_reason=_INTERRUPTED))
        except StateNotWritable as error:
            _log.warning("%s", error)

    def _settle_pointer(self, kept: KeptGenerations) -> None:
        """Point at something that is there."""
        active = kept.pointer.active
        if active is not None and kept.active is None:
            before = kept.previous_good(active)
            instead = None if before is None else before.number
            _log.warning("generation %d is not there whole, %s is taken for active", active, instead or "none")
            self._write_pointer(replace(kept.pointer, active=instead, last_number=kept.last_number))
        elif kept.pointer_fault and active is not None:
            _log.warning("%s; generation %d is taken for active", kept.pointer_fault, active)
            self._write_pointer(kept.pointer)

    def _read(self) -> KeptGenerations:
        with self._lock, self._writing():
            return read_generations(self.folder)

    def _recorded(self, kept: KeptGenerations, number: int) -> GenerationRecord:
        record = kept.records.get(number)
        if record is None:
            path = generation_folder(self.folder, number)
            raise _damaged(path, kept.unreadable.get(number, "it is not there"))
        return record

    def _prune(self) -> None:
        """Delete what is too much; a failure is logged, and tried again the next time."""
        try:
            protected = _protected(self._read())
            files = {number: files_of(self.folder, number) for number in kept_numbers(self.folder)}
            for number in superfluous(files, protected, self._keep, self._budget_bytes):
                put_away(self.folder, number)
        except (OSError, StateError) as error:
            _log.warning("old generations in %s could not be deleted: %s", self.folder, error)

    def _drop(self, number: int) -> None:
        try:
            put_away(self.folder, number)
        except OSError as error:
            _log.warning("generation %d in %s could not be deleted: %s", number, self.folder, error)

    def _write_record(self, record: GenerationRecord) -> None:
        path = generation_folder(self.folder, record.number) / RECORD
        write_bytes_atomic(path, encode_record(record), mode=PRIVATE)

    def _write_pointer(self, pointer: Pointer) -> None:
        write_bytes_atomic(self.folder / POINTER, encode_pointer(pointer), mode=PRIVATE)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise not_writable(self.folder, error) from error


def _protected(kept: KeptGenerations) -> set[int]:
    """Those that may be needed at any moment."""
    protected = {number for number, record in kept.records.items() if record.standing is Standing.PROPOSED}
    active = kept.pointer.active
    if active is not None:
        before = kept.previous_good(active)
        protected |= {active} if before is None else {active, before.number}
    return protected


def _damaged(path: Path, cause: str) -> StateDamaged:
    return StateDamaged(
        f"{path} is damaged: {cause}", "Roll back to another generation, or start with a new state folder."
    )
