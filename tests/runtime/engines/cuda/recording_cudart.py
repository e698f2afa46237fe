"""A recording double of libcudart, for machines without a GPU.

Nothing is executed on a device, and no test against it counts as execution on one. "Device" memory is memory of the
host, so that copies move bytes by the pitches and extents that they were given, within the memory that was allocated;
a captured graph is a list of what was enqueued, and a launch does it again.
"""
# ruff: noqa: N802 - functions have the library's own names

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engines.cuda.libcudart import STATUS_FUNCTIONS, Memcpy3DParms

ALIGNMENT = 256
INVALID_VALUE, OUT_OF_MEMORY, CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED = 1, 2, 900, 901
NAMES = {OUT_OF_MEMORY: b"cudaErrorMemoryAllocation", CAPTURE_UNSUPPORTED: b"cudaErrorStreamCaptureUnsupported"}

_IN_BETWEEN = ("cudaMalloc", "cudaFree", "cudaHostAlloc", "cudaFreeHost", "cudaStreamSynchronize")
"""What the thread that captures may not do: it would wait for the device."""


class Call(NamedTuple):
    """One call: the function's name, and its arguments without what it is to store results in."""

    name: str
    arguments: tuple[Any, ...] = ()


class RecordingCudart:
    """See the module. Has the library's functions as C function pointers, and none that the library has not.

    Args:
        memory: Bytes of the device.

    Attributes:
        calls: All, in their order, but for ``cudaSetDevice``, ``cudaGetLastError`` and
            ``cudaThreadExchangeStreamCaptureMode``.
        statuses: What functions return instead of doing anything, by name.
        captures_fail: Whether every capture turns out to be invalid when it ends.
        last_error: As ``cudaGetLastError`` would give it.
        set_on: Threads that have set the device.
        capture_modes: How threads regard captures of others; 1 is ``cudaStreamCaptureModeThreadLocal``.
        allocated: Addresses of device memory with their sizes.
        pinned: Likewise of pinned memory of the host.
        streams, graphs, templates, events: Those that were not destroyed.
    """

    def __init__(self, memory: int = 1 << 30) -> None:
        self.calls: list[Call] = []
        self.statuses: dict[str, int] = {}
        self.captures_fail = False
        self.last_error = 0
        self.set_on: set[int] = set()
        self.capture_modes: dict[int, int] = {}
        self.allocated: dict[int, int] = {}
        self.pinned: dict[int, int] = {}
        self.streams: set[int] = set()
        self.templates: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.events: set[int] = set()
        self._memory = memory
        self._held: dict[int, Any] = {}
        self._next_handle = 1
        self._capturing: tuple[int, int, list[Callable[[], None]]] | None = None
        self._invalidated = False
        for name, types in STATUS_FUNCTIONS.items():
            setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int, *types)(self._status_call(name)))
        self.cudaGetErrorName = lambda status: NAMES.get(status, b"cudaErrorUnknown")
        self.cudaGetErrorString = lambda status: b"status %d" % status

    @property
    def used(self) -> int:
        """Bytes of the device that are allocated."""
        return sum(self.allocated.values())

    @property
    def capturing(self) -> bool:
        """Whether a stream is being captured."""
        return self._capturing is not None

    def named(self, *names: str) -> list[Call]:
        """The calls of some functions."""
        return [call for call in self.calls if call.name in names]

    def enqueue(self, stream: int, work: Callable[[], None]) -> int:
        """Do the work, or let it be captured; the status."""
        assert stream in self.streams, f"{stream} is no stream"
        if self._capturing is not None and self._capturing[0] == stream:
            self._capturing[2].append(work)
        else:
            work()
        return 0

    def bytes_at(self, address: int, nbytes: int) -> npt.NDArray[np.uint8]:
        """A view of memory, all of which must have been allocated in one piece."""
        for start, size in (*self.allocated.items(), *self.pinned.items()):
            if start <= address and address + nbytes <= start + size:
                return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))
        raise AssertionError(f"{nbytes} bytes at {address} are not allocated")

    def _status_call(self, name: str) -> Callable[..., int]:
        work = getattr(self, f"_{name}")

        def call(*arguments: Any) -> int:
            if name == "cudaGetLastError":
                last, self.last_error = self.last_error, 0
                return last
            if name == "cudaSetDevice":
                self.set_on.add(threading.get_ident())
            elif name != "cudaThreadExchangeStreamCaptureMode":
                self.calls.append(Call(name, tuple(each for each in arguments if isinstance(each, int | None))))
            status: int = self.statuses.get(name, 0)
            if self._capturing is not None and self._capturing[1] == threading.get_ident() and name in _IN_BETWEEN:
                status, self._invalidated = CAPTURE_UNSUPPORTED, True
            self.last_error = status or work(*arguments) or 0
            return self.last_error

        return call

    def _handle(self, out: Any) -> int:
        self._next_handle += 1
        out[0] = self._next_handle
        return self._next_handle

    def _allocate(self, into: dict[int, int], out: Any, nbytes: int) -> None:
        memory = (ctypes.c_uint8 * (nbytes + ALIGNMENT))()
        address = -(-ctypes.addressof(memory) // ALIGNMENT) * ALIGNMENT
        ctypes.memset(address, 0xAB, nbytes)  # nobody clears it
        self._held[address], into[address] = memory, nbytes
        out[0] = address

    def _cudaGetDeviceCount(self, count: Any) -> None:
        count[0] = 1

    def _cudaSetDevice(self, device: int) -> int:
        return 0 if device == 0 else 101

    def _cudaThreadExchangeStreamCaptureMode(self, mode: Any) -> None:
        thread = threading.get_ident()
        mode[0], self.capture_modes[thread] = self.capture_modes.get(thread, 0), mode[0]

    def _cudaRuntimeGetVersion(self, version: Any) -> None:
        version[0] = 13020

    def _cudaGetLastError(self) -> None:
        """Never called: answered before."""

    def _cudaMemGetInfo(self, free: Any, total: Any) -> None:
        free[0], total[0] = self._memory - self.used, self._memory

    def _cudaMalloc(self, out: Any, nbytes: int) -> int:
        if self.used + nbytes > self._memory:
            return OUT_OF_MEMORY
        self._allocate(self.allocated, out, nbytes)
        return 0

    def _cudaFree(self, address: int | None) -> int:
        return self._free(self.allocated, address)

    def _cudaHostAlloc(self, out: Any, nbytes: int, flags: int) -> None:
        self._allocate(self.pinned, out, nbytes)

    def _cudaFreeHost(self, address: int | None) -> int:
        return self._free(self.pinned, address)

    def _free(self, memory: dict[int, int], address: int | None) -> int:
        if address not in memory:
            return INVALID_VALUE
        del memory[address], self._held[address]
        return 0

    def _cudaMemsetAsync(self, address: int, value: int, nbytes: int, stream: int) -> int:
        return self.enqueue(stream, lambda: self.bytes_at(address, nbytes).fill(value))

    def _cudaMemcpyAsync(self, target: int, source: int, nbytes: int, kind: int, stream: int) -> int:
        into, of = self._sides(kind)
        return self.enqueue(stream, lambda: np.copyto(into(target, nbytes), of(source, nbytes)))

    def _cudaMemcpy3DAsync(self, pointer: Any, stream: int) -> int:
        parms = Memcpy3DParms.from_buffer_copy(pointer.contents)
        for side, position in ((parms.srcPtr, parms.srcPos), (parms.dstPtr, parms.dstPos)):
            # What the library checks before it copies anything.
            if position.x + parms.extent.width > side.pitch or position.y + parms.extent.height > side.ysize:
                return INVALID_VALUE
        return self.enqueue(stream, lambda: self._copy_3d(parms))

    def _copy_3d(self, parms: Memcpy3DParms) -> None:
        into, of = self._sides(parms.kind)
        width = parms.extent.width

        def at(side: Any, position: Any, row: int, piece: int) -> int:
            rows = (position.z + piece) * side.ysize + position.y + row
            return int(side.ptr + rows * side.pitch + position.x)

        for piece in range(parms.extent.depth):
            for row in range(parms.extent.height):
                target = into(at(parms.dstPtr, parms.dstPos, row, piece), width)
                target[:] = of(at(parms.srcPtr, parms.srcPos, row, piece), width)

    def _sides(self, kind: int) -> tuple[Callable[[int, int], npt.NDArray[np.uint8]], ...]:
        """Access to target and source; memory of the host need not be ours."""

        def host(address: int, nbytes: int) -> npt.NDArray[np.uint8]:
            return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))

        return {1: (self.bytes_at, host), 2: (host, self.bytes_at), 3: (self.bytes_at, self.bytes_at)}[kind]

    def _cudaStreamCreateWithFlags(self, out: Any, flags: int) -> None:
        self.streams.add(self._handle(out))

    def _cudaStreamDestroy(self, stream: int) -> None:
        self.streams.remove(stream)

    def _cudaStreamSynchronize(self, stream: int) -> int:
        return 0 if stream in self.streams else INVALID_VALUE

    def _cudaStreamBeginCapture(self, stream: int, mode: int) -> None:
        assert self._capturing is None
        self._capturing = (stream, threading.get_ident(), [])

    def _cudaStreamEndCapture(self, stream: int, out: Any) -> int:
        assert self._capturing is not None
        assert self._capturing[:2] == (stream, threading.get_ident())
        captured, self._capturing = self._capturing[2], None
        invalid, self._invalidated = self._invalidated or self.captures_fail, False
        if invalid:
            return CAPTURE_INVALIDATED
        self.templates[self._handle(out)] = captured
        return 0

    def _cudaGraphInstantiateWithFlags(self, out: Any, template: int, flags: int) -> None:
        self.graphs[self._handle(out)] = self.templates[template]

    def _cudaGraphDestroy(self, template: int) -> None:
        del self.templates[template]

    def _cudaGraphLaunch(self, graph: int, stream: int) -> None:
        for work in self.graphs[graph]:
            self.enqueue(stream, work)

    def _cudaGraphExecDestroy(self, graph: int) -> None:
        del self.graphs[graph]

    def _cudaEventCreate(self, out: Any) -> None:
        self.events.add(self._handle(out))

    def _cudaEventRecord(self, event: int, stream: int) -> int:
        return 0 if event in self.events and stream in self.streams else INVALID_VALUE

    def _cudaEventElapsedTime(self, out: Any, begin: int, end: int) -> int:
        out[0] = 0.25
        return 0 if {begin, end} <= self.events else INVALID_VALUE

    def _cudaEventDestroy(self, event: int) -> None:
        self.events.remove(event)
