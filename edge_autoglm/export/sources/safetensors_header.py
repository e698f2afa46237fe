"""Strict reader of the head of a safetensors file.

Why not ``safetensors.safe_open``: its NumPy side has no bfloat16, the usual type of weights, and its errors do not name
the file. Layout: 8 bytes of header length (little-endian), a JSON object, then the data, without gap or overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import NotAModel, TruncatedSource, UnsupportedModel
from edge_autoglm.export.sources.spans import check_size
from edge_autoglm.export.sources.stored_types import BFLOAT16, plain
from edge_autoglm.export.sources.text_files import parse_object

_LENGTH_BYTES = 8
_FORMAT_MAX_HEADER = 100_000_000
"""Limit of the format; larger numbers are another kind of file."""
_MAX_HEADER = 16 << 20
"""About 100,000 tensors. Parsed JSON takes up to twenty times its text, so the limit of the format is too generous."""
_MAX_DIMENSIONS = 8
_READ = {"F64": plain("<f8"), "F32": plain("<f4"), "F16": plain("<f2"), "BF16": BFLOAT16}
_BITS = {
    name: bits
    for bits, names in {
        4: "F4",
        6: "F6_E2M3 F6_E3M2",
        8: "BOOL U8 I8 F8_E4M3 F8_E5M2 F8_E8M0",
        16: "F16 BF16 I16 U16",
        32: "F32 I32 U32",
        64: "F64 I64 U64 C64",
    }.items()
    for name in names.split()
}
"""Bits of a value, of all types of the format."""
_AGAIN = "Download or copy the file again."


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Place of one tensor.

    Attributes:
        file: The shard that holds it.
        offset: Of the first byte, from the start of the file.
    """

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    def read(self) -> npt.NDArray[np.float32]:
        """The tensor as float32.

        Raises:
            UnsupportedModel: It is not of a floating-point type that is read here.
            TruncatedSource: The file has become shorter.
        """
        if self.dtype not in _READ:
            raise UnsupportedModel(
                f"{self.file}: tensor {self.name!r} has the data type {self.dtype}; {', '.join(_READ)} are read",
                "Give the unquantised model.",
            )
        values = _READ[self.dtype].read(self.file, self.name, self.offset, math.prod(self.shape))
        return values.reshape(self.shape)


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Places of all tensors of a shard, checked against its size.

    Raises:
        NotAModel: The file is not safetensors, or its header contradicts itself.
        TruncatedSource: It is shorter than its header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > _FORMAT_MAX_HEADER:
            raise NotAModel(f"{path} is not a safetensors file", _AGAIN)
        start = _LENGTH_BYTES + length
        if size < start:
            raise TruncatedSource(f"{path} ends inside its header: expected {start} bytes, got {size}", _AGAIN)
        if length > _MAX_HEADER:
            raise NotAModel(f"{path} has a header of {length} bytes; at most {_MAX_HEADER} are read", _AGAIN)
        text = _decoded(path, file.read(length))
    rows = parse_object(text, f"the header of {path}", unique=True)
    rows.pop("__metadata__", None)
    spans = sorted((*_span(path, name, row), name) for name, row in rows.items())
    _check_places(path, start, spans)
    return {
        name: TensorEntry(path, name, rows[name]["dtype"], tuple(rows[name]["shape"]), start + begin)
        for begin, _, name in spans
    }


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotAModel(f"the header of {path} is not UTF-8 text", _AGAIN) from error


def _span(path: Path, name: str, row: Any) -> tuple[int, int]:
    """First byte and end of a tensor within the data, checked against its type and shape."""
    if not isinstance(row, dict):
        row = {}
    shape, offsets, dtype = row.get("shape"), row.get("data_offsets"), row.get("dtype")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or len(shape) > _MAX_DIMENSIONS:
        raise NotAModel(f"{path}: the header row of tensor {name!r} is malformed", _AGAIN)
    begin, end = offsets
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise NotAModel(f"{path}: tensor {name!r} has the unknown data type {str(dtype)[:40]!r}", _AGAIN)
    # A dimension of an empty tensor is checked by nothing else.
    if 8 * (end - begin) != math.prod(shape) * _BITS[dtype] or (begin == end and max(shape, default=0) > 1 << 31):
        raise NotAModel(f"{path}: tensor {name!r} is {dtype} {tuple(shape)}, but has bytes {begin} to {end}", _AGAIN)
    return begin, end


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_places(path: Path, start: int, spans: list[tuple[int, int, str]]) -> None:
    """Check that the tensors lie one after the other and fill the file."""
    position = 0
    for begin, end, name in spans:
        if begin != position:
            problem = "overlaps the one before it" if begin < position else "does not follow the one before it"
            raise NotAModel(f"{path}: tensor {name!r} at bytes {begin} to {end} {problem}", _AGAIN)
        position = end
    size = path.stat().st_size
    if spans:
        check_size(path, spans[-1][2], start + position)
    if size > start + position:
        raise NotAModel(f"{path} has {size - start - position} bytes that belong to no tensor", _AGAIN)
