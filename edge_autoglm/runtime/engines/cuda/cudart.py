"""The CUDA runtime on one device: every call checked, every failure one of our errors.

Addresses, streams, graphs and events are plain integers, as ctypes and TensorRT want them.
"""

from __future__ import annotations

import ctypes
import gc
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import byref, c_float, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EdgeAutoGLMError, EngineError, MemoryBudgetExceeded, MissingDependency
from edge_autoglm.runtime.engines.cuda.libcudart import Memcpy3DParms, declare, load_libcudart

_OUT_OF_MEMORY = 2
_NO_USABLE_DRIVER = frozenset({34, 35})
"""``cudaErrorStubLibrary`` and ``cudaErrorInsufficientDriver``; the latter also where there is no driver at all."""
_NO_DEVICE, _INVALID_DEVICE = 100, 101

_NON_BLOCKING = 1
"""``cudaStreamNonBlocking``: does not wait for the legacy stream, on which other libraries may work."""
_THREAD_LOCAL = 1
"""``cudaStreamCaptureModeThreadLocal``: what other threads do meanwhile, such as freeing memory, is their business."""

_LESS_MEMORY = "Use fewer slots or less capacity, or end what else uses the GPU."


class Direction(IntEnum):
    """``cudaMemcpyKind``."""

    TO_DEVICE = 1
    TO_HOST = 2
    ON_DEVICE = 3


@dataclass(frozen=True, slots=True)
class Pitched:
    """Where a box of bytes begins in pitched memory.

    Attributes:
        address: Of the memory.
        pitch: Bytes from a row to the next.
        rows: From a slice to the next.
        x: First byte of a row that is copied.
        y: First row of a slice that is copied.
    """

    address: int
    pitch: int
    rows: int
    x: int = 0
    y: int = 0


class Cudart:
    """Calls to the runtime on one device. Thread-safe.

    The current device is a property of the calling thread, and other libraries change it: every call sets it first. So
    is the mode in which the thread regards captures of other threads. By default a thread may not even free memory
    while another captures (ONNX Runtime does), and would break that capture.

    Args:
        device: Its number.
        library: The loaded library; the installed one by default.

    Raises:
        MissingDependency: There is no such library, or an old one.
    """

    def __init__(self, device: int = 0, library: Any = None) -> None:
        self.device = device
        self._library = declare(load_libcudart() if library is None else library)

    def device_count(self) -> int:
        """GPUs that this process can use; 0 where there is no driver."""
        count = c_int()
        if self._library.cudaGetDeviceCount(byref(count)):
            self._library.cudaGetLastError()
            return 0
        return count.value

    def make_current(self) -> None:
        """Let other libraries work on this device too, on the calling thread, whatever other threads capture.

        Raises:
            MissingDependency: There is no driver, or an old one.
            EngineError: There is no such device.
        """
        self._call("cudaSetDevice", self.device)

    def runtime_version(self) -> int:
        """Of the library: 13020 is 13.2."""
        version = c_int()
        self._check("cudaRuntimeGetVersion", self._library.cudaRuntimeGetVersion(byref(version)))
        return version.value

    def memory(self) -> tuple[int, int]:
        """Bytes of the device: free ones, and all."""
        free, total = c_size_t(), c_size_t()
        self._call("cudaMemGetInfo", byref(free), byref(total))
        return free.value, total.value

    def malloc(self, nbytes: int) -> int:
        """Memory of the device, aligned to 256 bytes; an address even for no bytes.

        Raises:
            MemoryBudgetExceeded: The device has not that much left.
        """
        address = c_void_p()
        status = self._status("cudaMalloc", byref(address), max(nbytes, 1))
        if status == _OUT_OF_MEMORY:
            free, total = self.memory()
            raise MemoryBudgetExceeded(
                f"GPU {self.device} has no {_megabytes(nbytes)} in one piece left: {_megabytes(free)} of "
                f"{_megabytes(total)} are free",
                _LESS_MEMORY,
            )
        self._check("cudaMalloc", status)
        return address.value or 0

    def free(self, address: int) -> None:
        """Give memory back; at any time, on any thread, so it has nothing to raise.

        It fails only where the GPU failed before, and that call has said so.
        """
        self._status("cudaFree", address)

    def pinned(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A host array of zeros that the device reads and writes directly; its memory goes with the last view of it.

        Raises:
            MemoryBudgetExceeded: The host has not that much memory left to pin.
        """
        kind = np.dtype(dtype)
        nbytes, address = math.prod(shape) * kind.itemsize, c_void_p()
        status = self._status("cudaHostAlloc", byref(address), nbytes, 0)
        if status == _OUT_OF_MEMORY:
            raise MemoryBudgetExceeded(
                f"the host has no {_megabytes(nbytes)} left to pin for GPU {self.device}",
                "Use fewer slots, or end what else uses the memory.",
            )
        self._check("cudaHostAlloc", status)
        memory = (ctypes.c_uint8 * nbytes).from_address(address.value or 0)
        weakref.finalize(memory, self._status, "cudaFreeHost", address.value).atexit = False
        array: npt.NDArray[Any] = np.ctypeslib.as_array(memory).view(kind).reshape(shape)
        array.fill(0)
        return array

    def zero(self, address: int, nbytes: int, stream: int) -> None:
        """Enqueue zeros."""
        self._call("cudaMemsetAsync", address, 0, nbytes, stream)

    def copy(self, direction: Direction, target: int, source: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy of bytes."""
        self._call("cudaMemcpyAsync", target, source, nbytes, direction, stream)

    def copy_3d(
        self, direction: Direction, target: Pitched, source: Pitched, extent: tuple[int, int, int], stream: int
    ) -> None:
        """Enqueue a copy of a box: ``extent`` is bytes of a row, rows of a slice, slices."""
        if not math.prod(extent):  # with a pitch of 0, which the library takes for a mistake
            return
        parms = Memcpy3DParms(kind=direction)
        parms.extent.width, parms.extent.height, parms.extent.depth = extent
        for pointer, position, side in (
            (parms.srcPtr, parms.srcPos, source),
            (parms.dstPtr, parms.dstPos, target),
        ):
            pointer.ptr, pointer.pitch, pointer.xsize, pointer.ysize = side.address, side.pitch, side.pitch, side.rows
            position.x, position.y = side.x, side.y
        self._call("cudaMemcpy3DAsync", byref(parms), stream)

    def stream(self) -> int:
        """A new stream that waits for no other."""
        return self._made("cudaStreamCreateWithFlags", _NON_BLOCKING)

    def destroy_stream(self, stream: int) -> None:
        """Like `free`, it has nothing to raise."""
        self._status("cudaStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        """Wait until all that was enqueued is done; other threads run meanwhile.

        Raises:
            EngineError: Some of it failed.
        """
        self._call("cudaStreamSynchronize", stream)

    def event(self) -> int:
        """A new event, to take times with."""
        return self._made("cudaEventCreate")

    def record(self, event: int, stream: int) -> None:
        """Enqueue the event."""
        self._call("cudaEventRecord", event, stream)

    def elapsed_ms(self, begin: int, end: int) -> float:
        """Milliseconds between two events of a synchronised stream, to half a microsecond."""
        elapsed = c_float()
        self._call("cudaEventElapsedTime", byref(elapsed), begin, end)
        return elapsed.value

    def destroy_event(self, event: int) -> None:
        """Like `free`, it has nothing to raise."""
        self._status("cudaEventDestroy", event)

    def capture(self, stream: int, enqueue: Callable[[], None]) -> int:
        """A graph of what a function enqueues on the stream, ready to launch. Nothing of it runs yet.

        Raises:
            EngineError: Something of it cannot be captured.
        """
        template = c_void_p()
        try:
            with _no_garbage_collection():
                self._call("cudaStreamBeginCapture", stream, _THREAD_LOCAL)
                try:
                    enqueue()
                finally:
                    ended = self._status("cudaStreamEndCapture", stream, byref(template))
            self._check("cudaStreamEndCapture", ended)
            return self._made("cudaGraphInstantiateWithFlags", template, 0)
        finally:
            if template.value:
                self._status("cudaGraphDestroy", template)

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a captured graph."""
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        """Like `free`, it has nothing to raise."""
        self._status("cudaGraphExecDestroy", graph)

    def _made(self, function: str, *arguments: Any) -> int:
        """What a function gives that stores a handle in its first argument."""
        handle = c_void_p()
        self._call(function, byref(handle), *arguments)
        return handle.value or 0

    def _call(self, function: str, *arguments: Any) -> None:
        self._check(function, self._status(function, *arguments))

    def _status(self, function: str, *arguments: Any) -> int:
        status: int = (
            self._library.cudaSetDevice(self.device)
            or self._library.cudaThreadExchangeStreamCaptureMode(byref(c_int(_THREAD_LOCAL)))
            or getattr(self._library, function)(*arguments)
        )
        if status:  # other libraries in the process would take it for an error of their own
            self._library.cudaGetLastError()
        return status

    def _check(self, function: str, status: int) -> None:
        if status:
            raise self._error(function, status)

    def _error(self, function: str, status: int) -> EdgeAutoGLMError:
        if status in _NO_USABLE_DRIVER:
            return MissingDependency(
                "NVIDIA's driver is missing, or too old for the CUDA runtime library "
                f"({_cuda_version(self.runtime_version())})",
                "Update the driver, or install the library of its version (nvidia-cuda-runtime-cu12 for CUDA 12), or "
                "run on the CPU.",
            )
        if status in (_NO_DEVICE, _INVALID_DEVICE):
            return EngineError(
                f"there is no GPU {self.device}: this process can use {self.device_count()}",
                "Run on the CPU, or see what `edge-autoglm doctor` says of GPUs.",
            )
        name, text = self._library.cudaGetErrorName(status), self._library.cudaGetErrorString(status)
        cause = f"{function} failed on GPU {self.device}: {text.decode()} ({name.decode()})"
        if status == _OUT_OF_MEMORY:
            return MemoryBudgetExceeded(cause, _LESS_MEMORY)
        return EngineError(cause, "Restart the program: a GPU rarely recovers within it; or run on the CPU.")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Device memory in a reference cycle is freed by the thread that collects garbage; one that captures must not."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _cuda_version(number: int) -> str:
    """13020 is CUDA 13.2."""
    return f"CUDA {number // 1000}.{number % 1000 // 10}"


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.0f} MB"
