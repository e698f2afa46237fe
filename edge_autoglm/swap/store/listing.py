"""Kept generations for people to read, also while a runtime uses them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_autoglm.errors import StateError
from edge_autoglm.swap.store.layout import GENERATIONS
from edge_autoglm.swap.store.reading import read_generations
from edge_autoglm.swap.store.record import GenerationRecord
from edge_autoglm.swap.store.retention import added_bytes, files_of


@dataclass(frozen=True, slots=True)
class KeptGeneration:
    """One generation of a state folder.

    Attributes:
        number: Of the generation.
        record: ``None`` where that is damaged.
        damage: Why, then.
        active: Whether a restart comes up on it.
        nbytes: What it takes beyond those before it, with which it may share files.
    """

    number: int
    record: GenerationRecord | None
    damage: str
    active: bool
    nbytes: int

    def figures(self) -> dict[str, Any]:
        """As JSON values."""
        about = {} if self.record is None else _plain(self.record)
        standing = {"damage": self.damage} if self.record is None else {}
        return {"number": self.number, **about, **standing, "active": self.active, "bytes": self.nbytes}


def list_generations(state: Path) -> list[KeptGeneration]:
    """Those of a state folder, by number; empty where none was ever kept.

    Raises:
        StateError: The folder cannot be read.
    """
    folder = state / GENERATIONS
    try:
        kept = read_generations(folder)
        numbers = sorted(kept.records.keys() | kept.unreadable.keys())
        sizes = added_bytes({number: files_of(folder, number) for number in numbers})
    except OSError as error:
        raise StateError(f"{folder} cannot be read: {error.strerror or error}", "Check its permissions.") from error
    return [
        KeptGeneration(
            number,
            kept.records.get(number),
            kept.unreadable.get(number, ""),
            number == kept.pointer.active,
            sizes[number],
        )
        for number in numbers
    ]


def _plain(record: GenerationRecord) -> dict[str, Any]:
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {**fields, "version": str(record.version), "standing": record.standing.value}
