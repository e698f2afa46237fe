"""Reading the kept generations without changing anything, also while a runtime uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.swap.store.layout import POINTER, RECORD, generation_folder, kept_numbers
from edge_autoglm.swap.store.pointer import Pointer, decode_pointer
from edge_autoglm.swap.store.record import GenerationRecord, Standing, decode_record


@dataclass(frozen=True, slots=True)
class KeptGenerations:
    """What a folder holds.

    Attributes:
        pointer: Which one is active; where its file is of no use, what the records say of that.
        records: By number.
        unreadable: Number of a generation without a sound record -> why.
        pointer_fault: Why the pointer's file is of no use; empty where it is sound.
    """

    pointer: Pointer
    records: Mapping[int, GenerationRecord]
    unreadable: Mapping[int, str]
    pointer_fault: str = ""

    @property
    def active(self) -> GenerationRecord | None:
        """What a restart comes up on, if its record is sound."""
        return None if self.pointer.active is None else self.records.get(self.pointer.active)

    @property
    def last_number(self) -> int:
        """The highest that was ever used."""
        return max([self.pointer.last_number, *self.records, *self.unreadable])

    def previous_good(self, number: int) -> GenerationRecord | None:
        """The last good one before a generation: among those that it was built on, as far as they are kept."""
        before = self.records.get(number)
        while before is not None and before.parent is not None and before.parent < before.number:
            before = self.records.get(before.parent)
            if before is not None and before.good:
                return before
        earlier = [record for record in self.records.values() if record.good and record.number < number]
        return max(earlier, key=lambda record: record.number, default=None)


def read_generations(folder: Path) -> KeptGenerations:
    """What is kept; a damaged file is left out.

    Raises:
        OSError: The folder cannot be read.
    """
    records, unreadable = {}, {}
    for number in kept_numbers(folder):
        path = generation_folder(folder, number) / RECORD
        try:
            records[number] = decode_record(path.read_bytes())
        except (OSError, ValueError) as error:
            if not path.parent.exists():  # deleted meanwhile
                continue
            unreadable[number] = f"{path} is of no use: {getattr(error, 'strerror', None) or error}"
    path = folder / POINTER
    try:
        pointer, fault = decode_pointer(path.read_bytes()), ""
    except (OSError, ValueError) as error:
        pointer, fault = _pointed_at(records), f"{path} is of no use: {getattr(error, 'strerror', None) or error}"
    return KeptGenerations(pointer, records, unreadable, fault)


def _pointed_at(records: Mapping[int, GenerationRecord]) -> Pointer:
    """The newest good one is taken for the active one."""
    decided = [record for record in records.values() if record.standing is not Standing.PROPOSED]
    active = max((record.number for record in decided if record.good), default=None)
    return Pointer(active, max(records, default=0), tuple(dict.fromkeys(record.bundle_digest for record in decided)))
