"""How numbers lie in a file, and how they become float32 without more than a piece of them in memory twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.sources.spans import read_pieces

_PIECE = 1 << 16
"""Values decoded at a time: few enough for the caches, enough to hide the interpreter. A multiple of every block."""


@dataclass(frozen=True, slots=True)
class StoredType:
    """A data type of a checkpoint.

    Attributes:
        block: Values that are stored together; 1 for plain numbers.
        block_bytes: What they take in the file.
        decode: From the bytes of whole blocks to their values, ``[n]`` of any type that NumPy casts to float32.
    """

    block: int
    block_bytes: int
    decode: Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]

    def nbytes(self, values: int) -> int:
        """Size in the file of a number of values that fills its blocks."""
        return values // self.block * self.block_bytes

    def read(self, path: Path, tensor: str, offset: int, values: int) -> npt.NDArray[np.float32]:
        """Read a tensor.

        Args:
            path: The file.
            tensor: Name, for messages.
            offset: Of its first byte.
            values: How many; fills its blocks.

        Returns:
            ``[values]``, newly allocated; besides it, a few megabytes are needed for a moment.

        Raises:
            TruncatedSource: The file has become shorter since it was opened.
            SourceError: It cannot be read any more.
        """
        out = np.empty(values, dtype=np.float32)
        done = 0
        # Damaged blocks hold infinities and NaN; whoever uses the values looks for them, with the tensor's name.
        with np.errstate(all="ignore"):
            for piece in read_pieces(path, tensor, offset, self.nbytes(values), self.nbytes(_PIECE)):
                count = piece.size // self.block_bytes * self.block
                out[done : done + count] = self.decode(piece)
                done += count
        return out


def plain(code: str) -> StoredType:
    """Numbers that NumPy knows, by their type code with byte order."""
    size = np.dtype(code).itemsize
    return StoredType(1, size, lambda raw: raw.view(code))


def _widen_bfloat16(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The upper half of a float32."""
    return (raw.view("<u2").astype("<u4") << 16).view("<f4")


BFLOAT16 = StoredType(1, 2, _widen_bfloat16)
