"""Bytes at a known place of a file, checked against its size before and while they are read."""

from __future__ import annotations

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


def read_span(path: Path, tensor: str, offset: int, nbytes: int) -> npt.NDArray[np.uint8]:
    """``nbytes`` bytes from ``offset``.

    Raises:
        TruncatedSource: The file has become shorter since it was opened.
        SourceError: It cannot be read any more.
    """
    try:
        raw = np.fromfile(path, dtype=np.uint8, count=nbytes, offset=offset)
    except OSError as error:
        raise SourceError(f"{path} cannot be read any more ({error.strerror})", "Leave it in place.") from error
    if raw.size < nbytes:
        raise _truncated(path, tensor, offset + nbytes, offset + raw.size)
    return raw


def _truncated(path: Path, tensor: str, expected: int, actual: int) -> TruncatedSource:
    return TruncatedSource(
        f"{path} is truncated: tensor {tensor!r} needs {expected} bytes, the file has {actual}",
        "Download or copy the file again.",
    )
