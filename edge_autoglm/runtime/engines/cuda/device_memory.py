"""KV in the memory of a GPU: the cache of some slots, and copies of parts of it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import KVArray
from edge_autoglm.runtime.engines.cuda.cudart import Cudart, Direction, Pitched

_ALIGNMENT = 256
"""Of what is allocated, and of a tensor's first byte."""


class DeviceMemory:
    """Memory of one device, and copies to, from and within it. Thread-safe.

    A copy is done when its method returns, unless that says otherwise. Copies have a stream of their own: enqueued on
    one from which another thread captures a graph, they would end up in the graph.
    """

    def __init__(self, cudart: Cudart) -> None:
        self._cudart = cudart
        self._stream = cudart.stream()
        weakref.finalize(self, cudart.destroy_stream, self._stream).atexit = False

    def allocate(self, nbytes: int) -> DeviceBuffer:
        """Memory with anything in it.

        Raises:
            MemoryBudgetExceeded: The device has not that much left.
        """
        return DeviceBuffer(self._cudart, nbytes)

    def zero(self, buffer: DeviceBuffer) -> None:
        """Fill it with zeros."""
        self._cudart.zero(buffer.address, buffer.nbytes, self._stream)
        self._cudart.synchronize(self._stream)

    def fetch(self, buffer: DeviceBuffer, host: npt.NDArray[Any]) -> None:
        """Copy it to a packed array of its size."""
        self._cudart.copy(Direction.TO_HOST, host.ctypes.data, buffer.address, buffer.nbytes, self._stream)
        self._cudart.synchronize(self._stream)

    def copy_3d(self, direction: Direction, target: Pitched, source: Pitched, extent: tuple[int, int, int]) -> None:
        """See `Cudart`: strided on either side, and one call all the same."""
        self._cudart.copy_3d(direction, target, source, extent, self._stream)
        self._cudart.synchronize(self._stream)

    def enqueue_copy_3d(self, target: Pitched, source: Pitched, extent: tuple[int, int, int], stream: int) -> None:
        """See `Cudart`: on the device, on a stream of the caller's, which is not waited for."""
        self._cudart.copy_3d(Direction.ON_DEVICE, target, source, extent, stream)


class DeviceBuffer:
    """Some bytes of a device, freed by ``free`` or when nothing refers to them any more.

    Attributes:
        address: A multiple of 256.
        nbytes: Size.
    """

    def __init__(self, cudart: Cudart, nbytes: int) -> None:
        self.nbytes = nbytes
        self.address = cudart.malloc(nbytes)
        self.free = weakref.finalize(self, cudart.free, self.address)
        self.free.atexit = False  # the driver, which frees all of a process, may be gone by then


class DeviceKVArray:
    """Implements `DeviceArray`: a packed array on a device, freed when nothing refers to it any more. Thread-safe.

    Args:
        memory: Where it lies.
        shape: As NumPy's.
        dtype: Likewise.

    Raises:
        MemoryBudgetExceeded: The device has not that much memory left.
    """

    def __init__(self, memory: DeviceMemory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype
        self._memory = memory
        self._buffer = memory.allocate(math.prod(shape) * dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """See `DeviceArray`."""
        return self._buffer.nbytes

    @property
    def address(self) -> int:
        """Of its first number."""
        return self._buffer.address

    def part(self, axis: int, begin: int, end: int) -> DeviceKVArray:
        """See `DeviceArray`."""
        before, size, behind = self.shape[:axis], self.shape[axis], self.shape[axis + 1 :]
        part = DeviceKVArray(self._memory, (*before, end - begin, *behind), self.dtype)
        rows, item = math.prod(before), math.prod(behind) * self.dtype.itemsize
        width = (end - begin) * item
        self._memory.copy_3d(
            Direction.ON_DEVICE,
            Pitched(part.address, width, rows),
            Pitched(self.address, size * item, rows, begin * item),
            (width, rows, 1),
        )
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """See `DeviceArray`."""
        if copy is False:
            raise ValueError("the host sees an array of a device as a copy only")
        host: npt.NDArray[Any] = np.empty(self.shape, self.dtype)
        self._memory.fetch(self._buffer, host)
        return host if dtype is None else host.astype(dtype, copy=False)


def aligned_kv(memory: DeviceMemory, shape: tuple[int, int, int, int, int], dtype: np.dtype[Any]) -> DeviceKV:
    """As `DeviceKV`, with as many more slots as it takes for each plane to begin where TensorRT wants a tensor to."""
    planes, slots, heads, columns, head_dim = shape
    slot_bytes = heads * columns * head_dim * dtype.itemsize
    slots += -slots % (_ALIGNMENT // math.gcd(slot_bytes, _ALIGNMENT))
    return DeviceKV(memory, (planes, slots, heads, columns, head_dim), dtype)


class DeviceKV:
    """The KV cache of some slots, zeros at first: ``[2 * layers, slots, kv_heads, columns, head_dim]`` in one piece.

    Args:
        memory: Where it lies.
        shape: The five sizes.
        dtype: Of its numbers.

    Raises:
        MemoryBudgetExceeded: The device has not that much memory left.
    """

    def __init__(self, memory: DeviceMemory, shape: tuple[int, int, int, int, int], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype
        self._memory = memory
        self._planes, self._slots, self._heads, columns, self._head_dim = shape
        self._token_bytes = self._head_dim * dtype.itemsize
        self._head_bytes = columns * self._token_bytes
        self._buffer = memory.allocate(math.prod(shape) * dtype.itemsize)
        memory.zero(self._buffer)

    def address(self, plane: int, slot: int) -> int:
        """Of a slot in plane L, which holds the keys of layer L, or ``layers + L``, which holds its values."""
        return self._buffer.address + (plane * self._slots + slot) * self._heads * self._head_bytes

    def copy_out(self, slot: int, begin: int, end: int) -> DeviceKVArray:
        """Columns ``begin`` to ``end`` of a slot: ``[2 * layers, kv_heads, end - begin, head_dim]``."""
        array = DeviceKVArray(self._memory, (self._planes, self._heads, end - begin, self._head_dim), self.dtype)
        width = (end - begin) * self._token_bytes
        self._memory.copy_3d(
            Direction.ON_DEVICE,
            Pitched(array.address, width, self._heads),
            self._columns_from(slot, begin),
            (width, self._heads, self._planes),
        )
        return array

    def copy_in(self, slot: int, begin: int, array: KVArray, length: int) -> None:
        """Put the first ``length`` tokens of what ``copy_out`` gave at column ``begin``; a NumPy array will do too.

        Raises:
            EngineError: It is KV of another model.
        """
        if isinstance(array, DeviceKVArray):
            direction, shape, dtype, address = Direction.ON_DEVICE, array.shape, array.dtype, array.address
        else:
            host = np.ascontiguousarray(array)
            direction, shape, dtype, address = Direction.TO_DEVICE, host.shape, host.dtype, host.ctypes.data
        tokens = shape[2]
        if dtype != self.dtype or shape != (self._planes, self._heads, tokens, self._head_dim):
            raise EngineError(
                f"KV of shape {shape} in {dtype} does not fit a cache of shape {self.shape} in {self.dtype}",
                "Put back what was copied out of an engine of the same model.",
            )
        self._memory.copy_3d(
            direction,
            self._columns_from(slot, begin),
            Pitched(address, tokens * self._token_bytes, self._heads),
            (length * self._token_bytes, self._heads, self._planes),
        )

    def enqueue_put(self, first_slot: int, columns: Sequence[int], new: DeviceKV, stream: int) -> None:
        """Put all of a smaller cache into this one, a slot after the other; done when the stream is.

        Args:
            first_slot: That takes the first slot of ``new``; the others follow.
            columns: Of this cache, where each slot's first column goes.
            new: Likewise but for its slots and columns.
            stream: Of the copies.
        """
        for row, column in enumerate(columns):
            self._memory.enqueue_copy_3d(
                self._columns_from(first_slot + row, column),
                new._columns_from(row, 0),
                (new._head_bytes, self._heads, self._planes),
                stream,
            )

    def free(self) -> None:
        """Give the memory back. Idempotent."""
        self._buffer.free()

    def _columns_from(self, slot: int, begin: int) -> Pitched:
        """The columns of a slot: a row for each head, a slice for each plane."""
        first_head = slot * self._heads
        return Pitched(
            self._buffer.address, self._head_bytes, self._slots * self._heads, begin * self._token_bytes, first_head
        )
