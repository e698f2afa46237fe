"""Soft prompts: the KV of trained embeddings in front of a prompt (prompt tuning, Lester et al. 2021), in a file.

The file is a KV pack with one segment. Its tokens are the virtual ones that stand for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_autoglm.errors import DamagedBundle, ForeignSoftPrompt, StateDamaged, StateError
from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.kv.pack_format import (
    PackKey,
    SegmentEntry,
    damaged,
    preamble_and_header,
    raw_bytes,
    read_header,
)
from edge_autoglm.runtime.kv.packs import read_segment
from edge_autoglm.runtime.kv.store import HeldSegment
from edge_autoglm.runtime.kv.virtual_tokens import virtual_tokens

_IMPORT_AGAIN = "Import the soft prompt again, with this bundle: edge-autoglm prompts import-soft."


@dataclass(frozen=True, slots=True, eq=False)
class SoftPrompt:
    """What stands in front of a prompt.

    Attributes:
        tokens: Virtual ids, one a trained embedding.
        segment: Their KV.
    """

    tokens: tuple[int, ...]
    segment: KVSegment

    @classmethod
    def of(cls, segment: KVSegment) -> SoftPrompt:
        """Give the KV of some embeddings, from the first position on, its virtual tokens."""
        checksums = (hashlib.sha256(raw_bytes(array)).hexdigest() for array in segment.arrays)
        return cls(_tokens(segment.fingerprint, checksums, segment.length), segment)

    def to_bytes(self) -> bytes:
        """The file's content."""
        held = HeldSegment(np.array(self.tokens, dtype=np.int64), self.segment, None)
        head = preamble_and_header(_key(self.segment.fingerprint), [held])
        return b"".join([head, *map(raw_bytes, self.segment.arrays)])


def load_soft_prompt(path: Path, fingerprint: str) -> SoftPrompt:
    """Read a file that ``to_bytes`` made; nothing is allocated before its header was checked.

    Args:
        path: The file.
        fingerprint: Of the engine that is to go on behind it.

    Raises:
        ForeignSoftPrompt: It was computed by another engine.
        DamagedBundle: The file cannot be read, or is not as it was written.
    """
    try:
        with path.open("rb") as file:
            entries = read_header(file, os.fstat(file.fileno()).st_size, _key(fingerprint))
            if len(entries) != 1 or _expected(entries[0], fingerprint) != entries[0].tokens:
                raise damaged("its virtual tokens are not those of its KV")
            return SoftPrompt(entries[0].tokens, read_segment(file, entries[0], fingerprint).segment)
    except StateDamaged as error:
        raise DamagedBundle(f"{path}: {error.cause}", _IMPORT_AGAIN) from error
    except StateError as error:
        raise ForeignSoftPrompt(f"{path} cannot be used: {error.cause}", _IMPORT_AGAIN) from error
    except OSError as error:
        raise DamagedBundle(f"{path} cannot be read: {error.strerror or error}", _IMPORT_AGAIN) from error


def _key(fingerprint: str) -> PackKey:
    """Of a soft prompt's file: a bundle's fingerprint covers tokenizer and type of the KV, and the bits are data."""
    return PackKey(fingerprint, "", "", "soft prompt")


def _expected(entry: SegmentEntry, fingerprint: str) -> tuple[int, ...]:
    return _tokens(fingerprint, (array.sha256 for array in entry.arrays), entry.length)


def _tokens(fingerprint: str, checksums: Iterable[str], count: int) -> tuple[int, ...]:
    digest = hashlib.sha256(" ".join([fingerprint, *checksums]).encode()).hexdigest()
    return virtual_tokens(digest, count)
