"""What a GPU takes at the least: to move bytes, and to run a kernel that does nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_char_p, c_uint, c_void_p
from typing import Any

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engines.cuda.cudart import Cudart, Direction

_COPIED = 1 << 28
"""Bytes of one copy: more than the caches of any GPU hold."""
_COPIES = 20
_NODES = 2000
"""Kernels of the graph that is timed: its own start is spread over them."""
_REPEATS = 5
_PTX = b".version 6.4\n.target sm_75\n.address_size 64\n.visible .entry nothing() { ret; }\n"
"""The driver compiles it for the GPU that is there; sm 75 is the oldest that CUDA 13 knows."""


class GpuCosts:
    """Measures one GPU with events of its own stream; nothing else may run on it meanwhile.

    Args:
        cudart: Of that GPU.

    Raises:
        EdgeAutoGLMError: It has not the memory, or cannot run a kernel.
    """

    def __init__(self, cudart: Cudart) -> None:
        self._cudart = cudart
        self._stream = cudart.stream()
        self._begin, self._end = cudart.event(), cudart.event()
        self._target, self._source = cudart.malloc(_COPIED), cudart.malloc(_COPIED)
        cudart.zero(self._source, _COPIED, self._stream)
        self._kernel = _Kernel()
        self._nodes = cudart.capture(self._stream, self._launch_kernels)

    def bandwidth(self) -> float:
        """Bytes a second that a copy within the memory reads and writes; the best of some."""
        return 2 * _COPIED * _COPIES / min(self._seconds(self._copy) for _ in range(_REPEATS))

    def launch(self) -> float:
        """Seconds that an empty kernel takes as one of a graph's nodes, one behind the other; the best of some."""
        return min(self._seconds(self._run_nodes) for _ in range(_REPEATS)) / _NODES

    def close(self) -> None:
        """Free the memory."""
        self._cudart.destroy_graph(self._nodes)
        for address in (self._target, self._source):
            self._cudart.free(address)
        for event in (self._begin, self._end):
            self._cudart.destroy_event(event)
        self._cudart.destroy_stream(self._stream)

    def _copy(self) -> None:
        for _ in range(_COPIES):
            self._cudart.copy(Direction.ON_DEVICE, self._target, self._source, _COPIED, self._stream)

    def _launch_kernels(self) -> None:
        for _ in range(_NODES):
            self._kernel.launch(self._stream)

    def _run_nodes(self) -> None:
        self._cudart.launch(self._nodes, self._stream)

    def _seconds(self, enqueue: Callable[[], None]) -> float:
        self._cudart.record(self._begin, self._stream)
        enqueue()
        self._cudart.record(self._end, self._stream)
        self._cudart.synchronize(self._stream)
        return self._cudart.elapsed_ms(self._begin, self._end) / 1e3


class _Kernel:
    """The kernel that does nothing, in the context that the runtime made current on this thread."""

    def __init__(self) -> None:
        self._driver = ctypes.CDLL("libcuda.so.1")
        module, self._function = c_void_p(), c_void_p()
        self._call("cuModuleLoadData", byref(module), c_char_p(_PTX))
        self._call("cuModuleGetFunction", byref(self._function), module, c_char_p(b"nothing"))

    def launch(self, stream: int) -> None:
        """Enqueue it with one thread."""
        ones, shared_bytes = [c_uint(1)] * 6, c_uint(0)
        self._call("cuLaunchKernel", self._function, *ones, shared_bytes, c_void_p(stream), None, None)

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._driver, function)(*arguments)
        if status:
            raise EngineError(f"{function} failed with CUDA error {status}", "Measure on another machine.")
