"""What TensorRT-RTX compiled on this device, kept from one process to the next.

A plan of TensorRT-RTX holds kernels in a form that is compiled for the GPU at hand when a step of a shape first runs.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from edge_autoglm.bundle.atomic import write_bytes_atomic

_log = logging.getLogger("edge_autoglm")


class CompiledKernels:
    """A runtime cache of TensorRT-RTX and its file. A plan runs without either, so that nothing here raises.

    Args:
        runtime_cache: An ``IRuntimeCache`` with nothing in it.
        file: Read now and written by `keep`; its folder is made.
    """

    def __init__(self, runtime_cache: Any, file: Path) -> None:
        self._runtime_cache = runtime_cache
        self._file = file
        self._kept = _checksum(b"")
        """Checksum of what is in the file, or could not be written there."""
        try:
            kernels = file.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("the compiled kernels in %s cannot be read: %s", file, error.strerror)
            return
        self._kept = _checksum(kernels)
        if not runtime_cache.deserialize(kernels):  # it checks the GPU, the driver and its own version
            _log.info("the compiled kernels in %s are of another GPU, driver or TensorRT-RTX; they are made anew", file)

    def keep(self) -> None:
        """Write them, if there are others than in the file."""
        kernels = bytes(self._runtime_cache.serialize())
        if _checksum(kernels) == self._kept:
            return
        self._kept = _checksum(kernels)  # where it cannot be written, that is said once and not after every step
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_atomic(self._file, kernels)
        except OSError as error:
            _log.warning("the compiled kernels cannot be kept in %s: %s", self._file, error.strerror)


def _checksum(kernels: bytes) -> bytes:
    return hashlib.sha256(kernels).digest()
