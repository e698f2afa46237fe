"""Strict reader of the head of a safetensors file.

Why not ``safetensors.safe_open``: its NumPy side has no bfloat16, the usual type of weights, and its errors do not name
the file. Layout: 8 bytes of header length (little-endian), a JSON object, then the data.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import NotAModel, TruncatedSource, UnsupportedModel
from edge_autoglm.export.sources.spans import check_size, read_span
from edge_autoglm.export.sources.text_files import parse_object

_LENGTH_BYTES = 8
_MAX_HEADER = 100_000_000
"""Limit of the format; larger numbers are another kind of file."""
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
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
        if self.dtype not in _ITEM_BYTES:
            raise UnsupportedModel(
                f"{self.file}: tensor {self.name!r} has the data type {self.dtype}; {', '.join(_ITEM_BYTES)} are read",
                "Give the unquantised model.",
            )
        raw = read_span(self.file, self.name, self.offset, math.prod(self.shape) * _ITEM_BYTES[self.dtype])
        return _to_float32(raw, self.dtype).reshape(self.shape)


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Places of all tensors of a shard, checked against its size.

    Raises:
        NotAModel: The file is not safetensors, or its header contradicts itself.
        TruncatedSource: It is shorter than its header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > _MAX_HEADER:
            raise NotAModel(f"{path} is not a safetensors file", _AGAIN)
        start = _LENGTH_BYTES + length
        if size < start:
            raise TruncatedSource(f"{path} ends inside its header: expected {start} bytes, got {size}", _AGAIN)
        rows = parse_object(file.read(length), f"the header of {path}")
    entries = {name: _entry(path, name, row, start) for name, row in rows.items() if name != "__metadata__"}
    ends = [(start + row["data_offsets"][1], name) for name, row in rows.items() if name in entries]
    if ends:
        end, last = max(ends)
        check_size(path, last, end)
    return entries


def _entry(path: Path, name: str, row: Any, start: int) -> TensorEntry:
    try:
        dtype, shape = str(row["dtype"]), tuple(operator.index(size) for size in row["shape"])
        begin, end = (operator.index(offset) for offset in row["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise NotAModel(f"{path}: the header row of tensor {name!r} is malformed", _AGAIN) from error
    # Of types that are not read, only the name is known.
    nbytes = math.prod(shape) * _ITEM_BYTES[dtype] if dtype in _ITEM_BYTES else end - begin
    if begin < 0 or min(shape, default=0) < 0 or end - begin != nbytes:
        raise NotAModel(f"{path}: tensor {name!r} is {dtype} {shape}, but has bytes {begin} to {end}", _AGAIN)
    return TensorEntry(path, name, dtype, shape, start + begin)


def _to_float32(raw: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[np.float32]:
    if dtype == "BF16":  # the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    code = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]
    return raw.view(code).astype(np.float32, copy=False)
