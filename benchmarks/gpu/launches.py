"""How many kernels, copies and fills a GPU runs: CUPTI's activity records, counted.

CUPTI sees what a process runs, whoever launched it, and each node of a CUDA graph for itself. Names and numbers are
those of ``cupti_activity.h``, equal in CUDA 12 and 13.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from ctypes import POINTER, byref, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

_IN_WHEELS = ("nvidia/cu13/lib/libcupti.so.13", "nvidia/cuda_cupti/lib/libcupti.so.12")
_ON_SYSTEM = ("libcupti.so.13", "libcupti.so.12", "libcupti.so")
_COPY, _FILL, _KERNEL = 1, 2, 10
"""``CUPTI_ACTIVITY_KIND_MEMCPY``, ``_MEMSET`` and ``_CONCURRENT_KERNEL``."""
_KINDS = (_COPY, _FILL, _KERNEL)
_FORCED = 1
"""``CUPTI_ACTIVITY_FLAG_FLUSH_FORCED``."""
_BUFFER_BYTES = 8 << 20
_ALIGNMENT = 8

_Address = POINTER(c_void_p)
_Wanted = ctypes.CFUNCTYPE(None, _Address, POINTER(c_size_t), POINTER(c_size_t))
_Filled = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_void_p, c_size_t, c_size_t)


class LaunchCounter:
    """CUPTI asks for buffers, fills them, and hands them back when it is told to flush.

    Raises:
        OSError: There is no CUPTI.
    """

    def __init__(self) -> None:
        self._library = _library()
        self._buffers: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._found = 0
        self._wanted, self._filled = _Wanted(self._give), _Filled(self._take)

    def count(self, run: Callable[[], object]) -> int:
        """Kernels, copies and fills that a function runs; it returns when they are done.

        Tracing slows launches down, and may go on doing so in this process: count behind what is timed.

        Raises:
            RuntimeError: CUPTI refuses, or saw nothing.
        """
        self._call("cuptiActivityRegisterCallbacks", self._wanted, self._filled)
        try:
            for kind in _KINDS:
                self._call("cuptiActivityEnable", c_uint32(kind))
            # What was enqueued before is none of this count.
            self._call("cuptiActivityFlushAll", c_uint32(_FORCED))
            self._found = 0
            run()
            self._call("cuptiActivityFlushAll", c_uint32(_FORCED))
        finally:
            for kind in _KINDS:
                self._library.cuptiActivityDisable(c_uint32(kind))
        if not self._found:
            raise RuntimeError("CUPTI saw nothing run on a GPU")
        return self._found

    def _give(self, buffer: Any, size: Any, most_records: Any) -> None:
        memory = ctypes.create_string_buffer(_BUFFER_BYTES + _ALIGNMENT)
        address = ctypes.addressof(memory)
        address += -address % _ALIGNMENT
        self._buffers[address] = memory
        buffer[0], size[0], most_records[0] = address, _BUFFER_BYTES, 0

    def _take(self, _context: int, _stream: int, buffer: int, _size: int, used: int) -> None:
        record = c_void_p()
        # It ends with CUPTI_ERROR_MAX_LIMIT_REACHED. A record begins with its kind.
        while used and not self._library.cuptiActivityGetNextRecord(c_void_p(buffer), c_size_t(used), byref(record)):
            self._found += c_uint32.from_address(record.value or 0).value in _KINDS
        del self._buffers[buffer]

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            raise RuntimeError(f"{function} failed with CUPTI error {status}")


@cache
def launch_counter() -> LaunchCounter:
    """One for the process: CUPTI keeps its callbacks to the end.

    Raises:
        OSError: There is no CUPTI.
    """
    return LaunchCounter()


def _library() -> Any:
    reasons = []
    in_wheels = (str(Path(folder, name)) for name in _IN_WHEELS for folder in sys.path if Path(folder, name).is_file())
    for name in (*in_wheels, *_ON_SYSTEM):
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise OSError(f"CUPTI is not there ({reasons[0]}); its wheel is nvidia-cuda-cupti")
