"""KV packs: the pinned prefixes of a store in a file, so that they need not be computed again at the next start.

Beginnings that prefixes share are stored once. A pack is taken as a whole or not at all: whatever is wrong with it, the
caller computes the prefixes anew, which gives the same bits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from edge_autoglm.bundle.atomic import written_aside
from edge_autoglm.errors import EngineError, StateError, StateNotWritable
from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.kv.pack_format import (
    COMPUTE_ANEW,
    ArrayEntry,
    PackKey,
    SegmentEntry,
    damaged,
    preamble_and_header,
    raw_bytes,
    read_header,
)
from edge_autoglm.runtime.kv.store import HeldSegment, KVStore

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class PackOutcome:
    """What became of a pack.

    Attributes:
        restored_tokens: Tokens whose KV the store holds now.
        reason: Why nothing was restored, naming file and cause; ``None`` if the pack was taken.
    """

    restored_tokens: int
    reason: str | None


def save_pack(path: Path, key: PackKey, store: KVStore) -> int:
    """Write everything that is pinned; a crash leaves the old pack or the new one.

    Two calls for one path must not overlap.

    Args:
        path: File to replace; its folder must exist.
        key: Of what the store holds.
        store: Stays usable meanwhile.

    Returns:
        Bytes written.

    Raises:
        EngineError: The key is of another engine than the store, or its KV is of a type that packs do not know.
        StateNotWritable: The file could not be written; the old one is as it was.
    """
    if key.engine != store.fingerprint:
        raise EngineError(f"the key is of engine {key.engine}, the store of {store.fingerprint}", "Give its own key.")
    held = store.pinned()
    head = preamble_and_header(key, held)
    try:
        with written_aside(path, f".{path.name}.partial", mode=_PRIVATE) as file:  # one name: packs are large
            file.write(head)
            for entry in held:
                for array in entry.segment.arrays:
                    file.write(raw_bytes(array))
            return file.tell()
    except OSError as error:
        raise StateNotWritable(
            f"the KV pack {path} cannot be written: {error.strerror or error}",
            "Free some disk space, or name a folder that this user may write to.",
        ) from error


def load_pack(path: Path, key: PackKey, store: KVStore) -> PackOutcome:
    """Put what a pack holds into a store, as entries that may be evicted until they are pinned.

    Nothing is allocated before the header was checked against the file's size and the budget, and nothing reaches the
    store before every checksum was right.

    Args:
        path: File to read.
        key: That the pack must have.
        store: Of the key's engine.
    """
    try:
        with path.open("rb") as file:
            entries = read_header(file, os.fstat(file.fileno()).st_size, key)
            _check_room(entries, store)
            held = [read_segment(file, entry, key.engine) for entry in entries]
        store.restore(held)
    except OSError as error:
        return PackOutcome(0, f"the KV pack {path} cannot be read: {error.strerror or error}")
    except (StateError, EngineError) as error:
        return PackOutcome(0, f"the KV pack {path} is not used: {error.cause}")
    return PackOutcome(sum(entry.length for entry in entries), None)


def _check_room(entries: Sequence[SegmentEntry], store: KVStore) -> None:
    needed = sum(array.nbytes for entry in entries for array in entry.arrays)
    stats = store.stats
    room = stats.budget_bytes - stats.pinned_bytes
    if needed > room:
        raise StateError(f"it needs {needed} bytes, the KV budget leaves {room}", COMPUTE_ANEW)


def read_segment(file: BinaryIO, entry: SegmentEntry, fingerprint: str) -> HeldSegment:
    """Read the next segment; ``read_header`` made sure that they lie in the order of their entries, without gaps.

    Raises:
        StateDamaged: An array fails its checksum, or the file ends.
    """
    arrays = tuple(_read_array(file, array) for array in entry.arrays)
    segment = KVSegment(fingerprint, entry.begin, entry.length, arrays, entry.token_axes)
    return HeldSegment(np.array(entry.tokens, dtype=np.int64), segment, entry.parent)


def _read_array(file: BinaryIO, entry: ArrayEntry) -> npt.NDArray[np.generic]:
    array: npt.NDArray[np.generic] = np.empty(entry.shape, dtype=np.dtype(entry.dtype))
    memory = raw_bytes(array)
    if file.readinto(memory) != len(memory):  # type: ignore[attr-defined]
        raise damaged("it became shorter while it was read")
    if hashlib.sha256(memory).hexdigest() != entry.sha256:
        raise damaged("an array fails its checksum")
    array.flags.writeable = False
    return array
