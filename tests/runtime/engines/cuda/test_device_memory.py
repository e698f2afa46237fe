"""Against a double of the library, which really moves the bytes as it is told to, but on the host."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.errors import EngineError, MemoryBudgetExceeded
from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceKV, DeviceKVArray, DeviceMemory
from tests.runtime.engines.cuda.recording_cudart import RecordingCudart

SHAPE = (4, 3, 2, 16, 8)
"""Planes, slots, heads, columns, channels."""
FLOAT16 = np.dtype(np.float16)


@pytest.fixture
def library() -> RecordingCudart:
    return RecordingCudart()


@pytest.fixture
def memory(library: RecordingCudart) -> DeviceMemory:
    return DeviceMemory(Cudart(0, library))


@pytest.fixture
def kv(memory: DeviceMemory) -> DeviceKV:
    return DeviceKV(memory, SHAPE, FLOAT16)


def _whole(kv: DeviceKV, library: RecordingCudart) -> npt.NDArray[Any]:
    """The cache as it lies in the double's memory, to read and to write."""
    return library.bytes_at(kv.address(0, 0), int(np.prod(SHAPE)) * 2).view(np.float16).reshape(SHAPE)


def _filled(kv: DeviceKV, library: RecordingCudart) -> npt.NDArray[Any]:
    whole = _whole(kv, library)
    whole[:] = np.arange(whole.size).reshape(SHAPE)
    return whole.copy()


def test_it_begins_as_zeros(kv: DeviceKV, library: RecordingCudart) -> None:
    assert not _whole(kv, library).any()


def test_rows_and_planes_lie_at_constant_offsets(kv: DeviceKV, library: RecordingCudart) -> None:
    whole = _whole(kv, library)
    for plane in range(SHAPE[0]):
        for slot in range(SHAPE[1]):
            assert kv.address(plane, slot) == whole[plane, slot].ctypes.data


@pytest.mark.parametrize(("slot", "begin", "end"), [(0, 0, 16), (1, 3, 7), (2, 15, 16), (2, 0, 1)])
def test_copies_of_a_range_of_tokens(kv: DeviceKV, library: RecordingCudart, slot: int, begin: int, end: int) -> None:
    before = _filled(kv, library)
    copy = kv.copy_out(slot, begin, end)
    expected = before[:, slot, :, begin:end]
    assert copy.shape == expected.shape
    assert copy.nbytes == expected.nbytes
    assert np.array_equal(np.asarray(copy), expected)
    assert len(library.named("cudaMemcpy3DAsync")) == 1

    _whole(kv, library)[:] = -1
    kv.copy_in(1, 0, copy, end - begin)
    after = np.full(SHAPE, -1, np.float16)
    after[:, 1, :, : end - begin] = expected
    assert np.array_equal(_whole(kv, library), after)
    assert len(library.named("cudaMemcpy3DAsync")) == 2
    assert len(library.named("cudaMemcpyAsync")) == 1, "the one to the host"


@pytest.mark.parametrize("on_device", [True, False])
def test_the_first_tokens_of_a_copy_at_any_column(kv: DeviceKV, library: RecordingCudart, on_device: bool) -> None:
    before = _filled(kv, library)
    copy = kv.copy_out(2, 4, 12)
    source = copy if on_device else np.asfortranarray(np.asarray(copy))
    kv.copy_in(0, 9, source, 5)
    before[:, 0, :, 9:14] = before[:, 2, :, 4:9]
    assert np.array_equal(_whole(kv, library), before)


def test_no_tokens_at_all(kv: DeviceKV, library: RecordingCudart) -> None:
    before = _filled(kv, library)
    copy = kv.copy_out(1, 5, 5)
    assert np.asarray(copy).shape == (4, 2, 0, 8)
    kv.copy_in(1, 5, copy, 0)
    assert np.array_equal(_whole(kv, library), before)


def test_kv_of_another_model_is_refused(kv: DeviceKV, memory: DeviceMemory) -> None:
    for other in (
        np.zeros((4, 2, 3, 4), np.float16),
        np.zeros((2, 2, 3, 8), np.float16),
        np.zeros((4, 2, 3, 8), np.float32),
        DeviceKVArray(memory, (4, 1, 3, 8), FLOAT16),
    ):
        with pytest.raises(EngineError, match="does not fit a cache"):
            kv.copy_in(0, 0, other, 3)


@pytest.mark.parametrize(("axis", "begin", "end"), [(2, 0, 3), (2, 5, 8), (2, 2, 2), (0, 1, 3), (1, 1, 2), (3, 2, 7)])
def test_a_part_of_a_copy(kv: DeviceKV, library: RecordingCudart, axis: int, begin: int, end: int) -> None:
    _filled(kv, library)
    copy = kv.copy_out(1, 4, 12)
    expected = np.asarray(copy)[(slice(None),) * axis + (slice(begin, end),)]
    part = copy.part(axis, begin, end)
    assert part.nbytes == expected.nbytes
    assert np.array_equal(np.asarray(part), expected)


def test_segments_of_device_memory_are_cut_there(kv: DeviceKV, library: RecordingCudart) -> None:
    before = _filled(kv, library)
    segment = KVSegment("model", 2, 8, (kv.copy_out(1, 2, 10),), (2,))
    fetched = len(library.named("cudaMemcpyAsync"))
    part = segment.part(4, 7)
    assert len(library.named("cudaMemcpyAsync")) == fetched
    assert part.nbytes == 4 * 2 * 3 * 8 * 2
    assert np.array_equal(np.asarray(part.arrays[0]), before[:, 1, :, 4:7])


def test_what_numpy_may_ask_of_a_copy(kv: DeviceKV) -> None:
    copy = kv.copy_out(0, 0, 2)
    assert np.asarray(copy, dtype=np.float32).dtype == np.float32
    assert np.array(copy, copy=True).dtype == np.float16
    with pytest.raises(ValueError, match="copy"):
        copy.__array__(copy=False)


def test_memory_goes_when_nothing_refers_to_it(memory: DeviceMemory, library: RecordingCudart) -> None:
    kv = DeviceKV(memory, SHAPE, FLOAT16)
    copies = [kv.copy_out(slot, 0, 4) for slot in range(3)]
    assert len(library.allocated) == 4
    thread = threading.Thread(target=copies.clear)
    thread.start()
    thread.join()
    assert len(library.allocated) == 1
    kv.free()
    kv.free()
    assert not library.allocated

    cycle: list[object] = [DeviceKVArray(memory, (3,), FLOAT16)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert not library.allocated


def test_a_copy_outlives_what_it_was_copied_from(library: RecordingCudart) -> None:
    memory = DeviceMemory(Cudart(0, library))
    kv = DeviceKV(memory, SHAPE, FLOAT16)
    before = _filled(kv, library)
    copy = kv.copy_out(0, 0, 4)
    kv.free()
    del kv, memory
    assert np.array_equal(np.asarray(copy), before[:, 0, :, :4])
    assert library.streams
    del copy
    gc.collect()
    assert not library.streams
    assert not library.allocated


def test_more_than_the_device_has_is_refused_and_nothing_stays() -> None:
    library = RecordingCudart(memory=100_000)
    memory = DeviceMemory(Cudart(0, library))
    with pytest.raises(MemoryBudgetExceeded):
        DeviceKV(memory, (4, 100, 2, 128, 8), FLOAT16)
    assert not library.allocated


def test_nothing_is_called_when_the_interpreter_ends() -> None:
    """The driver may be gone by then, and it frees everything by itself."""
    program = """
import numpy as np
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceKVArray, DeviceMemory
from tests.runtime.engines.cuda.recording_cudart import RecordingCudart

class Loud(RecordingCudart):
    def _free(self, memory, address):
        print("freed", flush=True)
        return super()._free(memory, address)

library = Loud()
cudart = Cudart(0, library)
memory = DeviceMemory(cudart)
array, pinned = DeviceKVArray(memory, (3,), np.dtype(np.float16)), cudart.pinned((3,), np.int8)
cycle = [array, pinned, memory]
cycle.append(cycle)
"""
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
