"""Facts and arrays in one checksummed file.

The layout is that of safetensors, so that any reader of those can look into it: the length of a JSON head in 8 bytes,
the head (type, shape and place of each array), the arrays. Under ``__metadata__`` the head holds ``facts``, itself a
JSON text, and ``sha256``, over the whole file as it is with 64 zeros in that place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.models.base import ModelState

_NO_DIGEST = "0" * 64
_ALIGNMENT = 8
_TYPES: Mapping[str, str] = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
_NAMES: Mapping[str, str] = {dtype: name for name, dtype in _TYPES.items()}


def encode(state: ModelState) -> bytes:
    """The file's content.

    Raises:
        ValueError: A fact is not JSON, or an array of a type that the format is not used for here.
    """
    arrays = {name: _plain(name, array) for name, array in sorted(state.arrays.items())}
    head, end = {}, 0
    for name, array in arrays.items():
        place = [end, end + array.nbytes]
        head[name] = {"dtype": _NAMES[array.dtype.str], "shape": list(array.shape), "data_offsets": place}
        end += array.nbytes
    try:
        facts = json.dumps(state.facts, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"a fact is not JSON: {error}") from error
    metadata = {"sha256": _NO_DIGEST, "facts": facts}
    data = b"".join(array.tobytes() for array in arrays.values())
    blank = _framed(json.dumps({"__metadata__": metadata} | head, separators=(",", ":")).encode("ascii"), data)
    return blank.replace(_NO_DIGEST.encode(), sha256(blank).hexdigest().encode(), 1)


def decode(content: bytes) -> ModelState:
    """What `encode` was given.

    Raises:
        ValueError: The content is not as it was written.
    """
    try:
        size = 8 + int.from_bytes(content[:8], "little")
        head = json.loads(content[8:size])
        metadata = head.pop("__metadata__")
        digest = metadata["sha256"].encode("ascii")
        if sha256(content.replace(digest, _NO_DIGEST.encode(), 1)).hexdigest().encode() != digest:
            raise ValueError("its checksum does not match")
        arrays = {name: _array(entry, content[size:]) for name, entry in head.items()}
        return ModelState(json.loads(metadata["facts"]), arrays)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its head is not readable: {error!r}") from error


def _plain(name: str, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Little-endian and contiguous."""
    plain = np.ascontiguousarray(array).reshape(array.shape)
    plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    if plain.dtype.str not in _NAMES:
        raise ValueError(f"the array {name!r} is of type {array.dtype}")
    return plain


def _framed(head: bytes, data: bytes) -> bytes:
    padded = head + b" " * (-len(head) % _ALIGNMENT)
    return len(padded).to_bytes(8, "little") + padded + data


def _array(entry: dict[str, Any], data: bytes) -> npt.NDArray[np.generic]:
    """A copy, so that it can be written to."""
    first, end = entry["data_offsets"]
    return np.ndarray(tuple(entry["shape"]), _TYPES[entry["dtype"]], data[first:end]).copy()
