"""Bytes at a known place of a file: checked against its size before, and read in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import SourceError, TruncatedSource


def check_size(path: Path, tensor: str, end: int) -> None:
    """Check that the file reaches the end of its last tensor.

    Raises:
        TruncatedSource: It does not.
    """
    size = path.stat().st_size
    if end > size:
        raise _truncated(path, tensor, end, size)


def read_pieces(path: Path, tensor: str, offset: int, nbytes: int, piece: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Read ``nbytes`` bytes from ``offset``, at most ``piece`` at a time.

    Yields:
        The next bytes. All pieces lie in one buffer: use one before asking for the next.

    Raises:
        TruncatedSource: The file has become shorter since it was opened.
        SourceError: It cannot be read any more.
    """
    buffer = np.empty(min(piece, nbytes), dtype=np.uint8)
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for start in range(0, nbytes, piece):
                part = buffer[: min(piece, nbytes - start)]
                count = file.readinto(part.data)
                if count < part.size:
                    raise _truncated(path, tensor, offset + nbytes, offset + start + count)
                yield part
    except OSError as error:
        raise SourceError(f"{path} cannot be read any more ({error.strerror})", "Leave it in place.") from error


def _truncated(path: Path, tensor: str, expected: int, actual: int) -> TruncatedSource:
    return TruncatedSource(
        f"{path} is truncated: tensor {tensor!r} needs {expected} bytes, the file has {actual}",
        "Download or copy the file again.",
    )
