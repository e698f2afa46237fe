"""How much room generations take, and which of them are deleted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

from edge_autoglm.swap.store.layout import generation_folder

Files: TypeAlias = Mapping[tuple[int, int], int]
"""(device, inode) -> bytes: a file under several names is one."""


def files_of(folder: Path, number: int) -> Files:
    """Of one generation; what vanishes meanwhile is left out."""
    found = {}
    for path in generation_folder(folder, number).rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        if not path.is_dir():
            found[status.st_dev, status.st_ino] = status.st_size
    return found


def added_bytes(files: Mapping[int, Files]) -> dict[int, int]:
    """What each generation takes beyond those before it; together, what all of them take."""
    seen: set[tuple[int, int]] = set()
    added = {}
    for number in sorted(files):
        added[number] = sum(size for file, size in files[number].items() if file not in seen)
        seen |= files[number].keys()
    return added


def superfluous(files: Mapping[int, Files], protected: Collection[int], keep: int, budget_bytes: int) -> list[int]:
    """The oldest ones that have to go, so that at most ``keep`` are left and together they stay under the budget.

    Args:
        files: Of every generation, by number.
        protected: Never deleted, though they count.
        keep: How many.
        budget_bytes: Of different files.
    """
    left, gone = dict(files), []
    for number in sorted(files.keys() - set(protected)):
        if len(left) <= keep and sum(added_bytes(left).values()) <= budget_bytes:
            break
        del left[number]
        gone.append(number)
    return gone
