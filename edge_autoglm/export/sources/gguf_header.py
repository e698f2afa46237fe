"""Strict reader of the head of a GGUF file: metadata and tensor table, nothing of the weights.

Why not ``gguf.GGUFReader``: it keeps a NumPy view for every element of every array (seconds for one vocabulary), and a
truncated file makes it fail with whatever slicing past the end happens to raise. Layout: the GGUF specification of ggml
(version 2 and 3, little-endian). Nothing is allocated for what the file does not have: every length is compared with
the bytes that are left.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import NotAModel, TruncatedSource, UnsupportedModel

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF value type -> code of ``struct`` and of NumPy."""
_DAMAGED = "The file is damaged; download or convert it again."


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One row of the tensor table.

    Attributes:
        shape: Outermost dimension first, as NumPy has it (GGUF stores the reverse); no dimension is 0.
        ggml_type: Number of the ggml data type.
        offset: Of the first byte, from the start of the file.
    """

    name: str
    shape: tuple[int, ...]
    ggml_type: int
    offset: int


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """Metadata and tensor table of a GGUF file. Arrays of numbers are NumPy arrays, arrays of texts are lists."""

    metadata: dict[str, Any]
    tensors: dict[str, TensorEntry]


def read_header(path: Path) -> GGUFHeader:
    """Read metadata and tensor table.

    Raises:
        NotAModel: The file is not GGUF, or contradicts the format.
        TruncatedSource: It ends inside the metadata or the tensor table.
        UnsupportedModel: Another version of the format, or big-endian.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise NotAModel(
                f"{path} is not a GGUF file (it does not start with 'GGUF')", "Give a model in GGUF format."
            )
        return _Cursor(file, path).header()


class _Cursor:
    """Reads forward through the file; every read is checked against its end."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._offset = len(_MAGIC)
        self._size = os.fstat(file.fileno()).st_size

    def header(self) -> GGUFHeader:
        self._check_version(self._scalar("I", "the version"))
        tensor_count = self._scalar("Q", "the tensor count")
        metadata = self._metadata(self._scalar("Q", "the metadata count"))
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise NotAModel(f"{self._path}: general.alignment is {str(alignment)[:40]}, not a power of two", _DAMAGED)
        rows = [self._tensor_row(alignment) for _ in range(tensor_count)]
        start = -(-self._offset // alignment) * alignment
        tensors = {name: TensorEntry(name, shape, kind, start + offset) for name, shape, kind, offset in rows}
        if len(tensors) != len(rows):
            raise NotAModel(f"{self._path}: the tensor table names a tensor twice", _DAMAGED)
        return GGUFHeader(metadata, tensors)

    def _check_version(self, version: int) -> None:
        if version & 0xFFFF == 0:
            raise UnsupportedModel(f"{self._path} is a big-endian GGUF file", "Convert the model to little-endian.")
        if version not in _VERSIONS:
            raise UnsupportedModel(
                f"{self._path} is GGUF version {version}; versions {_VERSIONS[0]} and {_VERSIONS[1]} are read",
                "Convert the model with a current llama.cpp.",
            )

    def _metadata(self, count: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for _ in range(count):
            key = self._string("a metadata key")
            if key in metadata:
                raise NotAModel(f"{self._path}: metadata key {key!r} occurs twice", _DAMAGED)
            metadata[key] = self._value(self._scalar("I", key), key)
        return metadata

    def _value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._string(key)
        if kind == _ARRAY:
            return self._array(key)
        return self._scalar(self._code(kind, key), key)

    def _array(self, key: str) -> list[str] | npt.NDArray[Any]:
        kind = self._scalar("I", key)
        count = self._scalar("Q", key)
        if kind == _STRING:
            return [self._string(key) for _ in range(count)]
        # A list would take eight times and more of what the file has. Nested arrays, which no model uses, have no code.
        dtype = np.dtype(self._code(kind, key)).newbyteorder("<")
        raw = np.frombuffer(self._take(count * dtype.itemsize, key), dtype=np.uint8)
        return raw != 0 if dtype.kind == "b" else raw.view(dtype)

    def _code(self, kind: int, key: str) -> str:
        if kind not in _SCALARS:
            raise NotAModel(f"{self._path}: metadata key {key!r} has the unknown value type {kind}", _DAMAGED)
        return _SCALARS[kind]

    def _tensor_row(self, alignment: int) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string("the tensor table")
        dimensions = self._scalar("I", name)
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise NotAModel(f"{self._path}: tensor {name!r} has {dimensions} dimensions", _DAMAGED)
        shape = tuple(reversed([self._scalar("Q", name) for _ in range(dimensions)]))
        if 0 in shape:
            raise NotAModel(f"{self._path}: tensor {name!r} has the shape {shape}", _DAMAGED)
        kind, offset = self._scalar("I", name), self._scalar("Q", name)
        if offset % alignment:
            raise NotAModel(f"{self._path}: tensor {name!r} starts at {offset}, no multiple of {alignment}", _DAMAGED)
        return name, shape, kind, offset

    def _string(self, what: str) -> str:
        raw = self._take(self._scalar("Q", what), what)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotAModel(f"{self._path}: {what} is not UTF-8 text", _DAMAGED) from error

    def _scalar(self, code: str, what: str) -> Any:
        return struct.unpack("<" + code, self._take(struct.calcsize(code), what))[0]

    def _take(self, count: int, what: str) -> bytes:
        end = self._offset + count
        raw = self._file.read(count) if end <= self._size else b""
        if len(raw) < count:
            raise TruncatedSource(
                f"{self._path} ends inside its header, in {what}: expected at least {end} bytes, got {self._size}",
                "Download or copy the file again.",
            )
        self._offset = end
        return raw
