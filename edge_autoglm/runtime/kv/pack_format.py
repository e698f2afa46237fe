"""What a KV pack looks like on disk, and the checks that come before a byte of KV is allocated.

    magic (8 bytes) | length of the header (uint64) | SHA-256 of the header (32 bytes) | header | arrays, back to back

Integers and arrays are little-endian. The header is JSON: schema version, key, and for every segment of the tree its
tokens, its place and its arrays with type, shape, offset (from the end of the header) and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, BinaryIO

import numpy as np

from edge_autoglm.errors import EngineError, StateDamaged, StateError
from edge_autoglm.runtime.engine import KVArray
from edge_autoglm.runtime.kv.store import HeldSegment
from edge_autoglm.runtime.kv.virtual_tokens import VIRTUAL

SCHEMA_VERSION = 1
_MAGIC = b"EAGLM-KV"
_PREAMBLE = struct.Struct("<8sQ32s")
_TYPES = frozenset({"<f4", "<f2", "|i1", "|u1", "<i8"})
"""Of arrays, as NumPy writes them; nothing else is revived from disk."""
_TOKEN_LIMIT = 2**31
_SHA256 = re.compile("[0-9a-f]{64}")
COMPUTE_ANEW = "Compute the prefixes anew; the next pack that is saved takes this one's place."


@dataclass(frozen=True, slots=True)
class PackKey:
    """What the bits of a pack depend on; a pack of another key is foreign.

    Attributes:
        engine: Fingerprint of weights, graph and KV layout.
        tokenizer: Fingerprint of the tokenizer.
        kv_type: Of the KV cache (``fp32``).
        build: All else: version of ONNX Runtime, model and features of the processor.
    """

    engine: str
    tokenizer: str
    kv_type: str
    build: str


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """One array of a segment.

    Attributes:
        dtype: Type of an element, as NumPy writes it.
        shape: Of the array.
        offset: Of its first byte, from the end of the header.
        sha256: Of its bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    sha256: str

    @property
    def nbytes(self) -> int:
        """Bytes in the file, as in memory."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment; see ``HeldSegment`` and ``KVSegment``."""

    tokens: tuple[int, ...]
    begin: int
    length: int
    parent: int | None
    token_axes: tuple[int, ...]
    arrays: tuple[ArrayEntry, ...]

    @property
    def layout(self) -> tuple[object, ...]:
        """What all segments of an engine have in common."""
        arrays = zip(self.arrays, self.token_axes, strict=True)
        return tuple((array.dtype, array.shape[:axis], array.shape[axis + 1 :]) for array, axis in arrays)


def raw_bytes(array: KVArray) -> memoryview:
    """The bytes of an array as they stand in a pack; its own memory where that is the host's and laid out the same."""
    host = np.asarray(array)
    little = np.ascontiguousarray(host, dtype=host.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data


def preamble_and_header(key: PackKey, held: Sequence[HeldSegment]) -> bytes:
    """Everything before the arrays.

    Raises:
        EngineError: An array is of a type that packs do not know.
    """
    sizes = [array.nbytes for entry in held for array in entry.segment.arrays]
    offsets = accumulate(sizes, initial=0)
    segments = [asdict(_entry(entry, offsets)) for entry in held]
    document = {"schema_version": SCHEMA_VERSION, "key": asdict(key), "segments": segments}
    header = json.dumps(document, separators=(",", ":")).encode()
    return _PREAMBLE.pack(_MAGIC, len(header), hashlib.sha256(header).digest()) + header


def _entry(held: HeldSegment, offsets: Iterator[int]) -> SegmentEntry:
    segment = held.segment
    arrays = tuple(_array_entry(array, next(offsets)) for array in segment.arrays)
    tokens = tuple(held.tokens.tolist())
    return SegmentEntry(tokens, segment.begin, segment.length, held.parent, segment.token_axes, arrays)


def _array_entry(array: KVArray, offset: int) -> ArrayEntry:
    host = np.asarray(array)
    dtype = host.dtype.newbyteorder("<").str
    if dtype not in _TYPES:
        raise EngineError(f"KV of type {host.dtype} cannot be saved", f"Use one of {', '.join(sorted(_TYPES))}.")
    return ArrayEntry(dtype, host.shape, offset, hashlib.sha256(raw_bytes(host)).hexdigest())


def read_header(file: BinaryIO, size: int, key: PackKey) -> list[SegmentEntry]:
    """Read up to the first array and check all that can be known of the rest.

    Args:
        file: At its beginning.
        size: Of the whole file, in bytes.
        key: That the pack must have.

    Raises:
        StateDamaged: The file is no pack, cut off, or says what cannot be.
        StateError: It is a sound pack of another schema version or key.
    """
    document = _document(file, size)
    try:
        if (version := document["schema_version"]) != SCHEMA_VERSION:
            raise StateError(f"it is of schema version {version}, this package reads {SCHEMA_VERSION}", COMPUTE_ANEW)
        _check_key(PackKey(**document["key"]), key)
        entries = [_parse_segment(**segment) for segment in document["segments"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged("its header lacks a field, or has one of the wrong type") from error
    _check_tree(entries)
    _check_extent([array for entry in entries for array in entry.arrays], size - file.tell())
    return entries


def damaged(what: str) -> StateDamaged:
    """The error for a pack that cannot be as it was written."""
    return StateDamaged(f"it is damaged: {what}", COMPUTE_ANEW)


def _document(file: BinaryIO, size: int) -> dict[str, Any]:
    preamble = file.read(_PREAMBLE.size)
    if not preamble.startswith(_MAGIC) or len(preamble) < _PREAMBLE.size:
        raise damaged("it does not begin as a KV pack does")
    _, length, digest = _PREAMBLE.unpack(preamble)
    if length > size - _PREAMBLE.size:
        raise damaged(f"a header of {length} bytes was announced, the file has {size}")
    header = file.read(length)
    if hashlib.sha256(header).digest() != digest:
        raise damaged("its header fails the checksum")
    try:
        document = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise damaged("its header is not JSON") from error
    if not isinstance(document, dict):
        raise damaged("its header is not a JSON object")
    return document


def _check_key(found: PackKey, wanted: PackKey) -> None:
    for name, value in asdict(wanted).items():
        if getattr(found, name) != value:
            raise StateError(f"it was made for {name} {getattr(found, name)!r}, not {value!r}", COMPUTE_ANEW)


def _parse_segment(*, tokens: Any, begin: Any, length: Any, parent: Any, token_axes: Any, arrays: Any) -> SegmentEntry:
    entry = SegmentEntry(
        tokens=tuple(_token_id(token) for token in _listed(tokens)),
        begin=_natural(begin),
        length=_natural(length),
        parent=None if parent is None else _natural(parent),
        token_axes=_naturals(token_axes),
        arrays=tuple(_parse_array(**array) for array in arrays),
    )
    if not len(entry.tokens) == entry.length > 0:
        raise damaged(f"a segment of {entry.length} tokens names {len(entry.tokens)}")
    if not len(entry.token_axes) == len(entry.arrays) > 0:
        raise damaged(f"a segment of {len(entry.arrays)} arrays has {len(entry.token_axes)} token axes")
    for array, axis in zip(entry.arrays, entry.token_axes, strict=True):
        if axis >= len(array.shape) or array.shape[axis] != entry.length:
            raise damaged(f"an array of shape {array.shape} does not hold {entry.length} tokens on axis {axis}")
    return entry


def _parse_array(*, dtype: Any, shape: Any, offset: Any, sha256: Any) -> ArrayEntry:
    if dtype not in _TYPES:
        raise damaged(f"it has an array of the unknown type {dtype!r}")
    if not _SHA256.fullmatch(sha256):
        raise damaged("a checksum in its header is none")
    return ArrayEntry(dtype, _naturals(shape), _natural(offset), sha256)


def _natural(value: Any, limit: int = 2**63) -> int:
    if type(value) is not int or not 0 <= value < limit:
        raise damaged("a number in its header is none, or out of range")
    return value


def _naturals(values: Any, limit: int = 2**63) -> tuple[int, ...]:
    return tuple(_natural(value, limit) for value in _listed(values))


def _token_id(value: Any) -> int:
    """Of the vocabulary, or a virtual one."""
    return int(value) if type(value) is int and value in VIRTUAL else _natural(value, _TOKEN_LIMIT)


def _listed(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise damaged("a list in its header is none")
    return values


def _check_tree(entries: Sequence[SegmentEntry]) -> None:
    """Every segment continues one before it, and all look alike."""
    for index, entry in enumerate(entries):
        if entry.parent is not None and entry.parent >= index:
            raise damaged(f"segment {index} names segment {entry.parent} as its parent")
        end = 0 if entry.parent is None else entries[entry.parent].begin + entries[entry.parent].length
        if entry.begin != end:
            raise damaged(f"segment {index} begins at token {entry.begin}, its parent ends at {end}")
        if entry.layout != entries[0].layout:
            raise damaged(f"segment {index} is laid out unlike the first one")


def _check_extent(arrays: Sequence[ArrayEntry], nbytes: int) -> None:
    """The arrays lie back to back and fill the file."""
    end = 0
    for array in arrays:
        if array.offset != end:
            raise damaged(f"an array begins at byte {array.offset}, not at {end}")
        end += array.nbytes
    if end != nbytes:
        raise damaged(f"its arrays take {end} bytes, {nbytes} are there")
