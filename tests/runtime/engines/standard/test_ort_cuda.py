"""The CUDA provider's side of the engine.

Without a GPU: where it refuses to run; and its bindings, copies and addresses over a recording double of the CUDA
runtime whose device memory is the host's, with ONNX Runtime's CPU kernels at those addresses. That is no execution on a
GPU; ``tests/gpu`` runs there.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import pytest

from edge_autoglm.errors import MissingDependency
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceKVArray
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend
from edge_autoglm.runtime.engines.standard.ort_cuda import CUDA, CudaPlace, check_all_on_gpu
from edge_autoglm.runtime.engines.standard.ort_cuda_session import CudaSession
from edge_autoglm.runtime.engines.standard.ort_session import CPU, open_session
from edge_autoglm.runtime.kv.pack_format import PackKey
from edge_autoglm.runtime.kv.packs import load_pack, save_pack
from edge_autoglm.runtime.kv.store import KVStore
from tests.runtime.engines.cuda.recording_cudart import RecordingCudart
from tests.runtime.engines.standard.engines_for_tests import CAPACITY, OTHER, SIZES, TEXT, logits_of, open_engine


class Run(NamedTuple):
    """One run of a `HostSession`."""

    thread: threading.Thread
    graph: int
    binding: HostBinding


class HostSession:
    """A recording double: runs on the CPU what is bound to the device of `RecordingCudart`."""

    def __init__(self, graph: Path, cudart: RecordingCudart, runs: list[Run]) -> None:
        self._session = open_session(graph, 1, [(CPU, {})])
        self._cudart = cudart
        self._runs = runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def io_binding(self) -> HostBinding:
        return HostBinding(self._session.io_binding(), self._cudart)

    def run_with_iobinding(self, binding: HostBinding, options: ort.RunOptions) -> None:
        self._runs.append(Run(threading.current_thread(), int(options.get_run_config_entry("gpu_graph_id")), binding))
        self._session.run_with_iobinding(binding.real, options)


class HostBinding:
    """Every address that is bound must be of the device, in one piece."""

    def __init__(self, real: Any, cudart: RecordingCudart) -> None:
        self.real = real
        self._cudart = cudart

    def bind_input(self, name: str, *place: Any) -> None:
        self.real.bind_input(name, *self._on_host(*place))

    def bind_output(self, name: str, *place: Any) -> None:
        self.real.bind_output(name, *self._on_host(*place))

    def _on_host(self, kind: str, number: int, dtype: type, shape: tuple[int, ...], address: int) -> tuple[Any, ...]:
        assert (kind, number) == ("cuda", 0)
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        assert any(
            start <= address and address + nbytes <= start + size for start, size in self._cudart.allocated.items()
        )
        return "cpu", 0, dtype, shape, address


class HostPlace(CudaPlace):
    """The real place, over a `HostSession`."""

    def __init__(self, graph: Path, cudart: RecordingCudart) -> None:
        self._cudart = Cudart(library=cudart)
        self.runs: list[Run] = []
        self._session = CudaSession(lambda graphs: HostSession(graph, cudart, self.runs), self._cudart)


def recorded_engine(graph: Path, cudart: RecordingCudart, slots: int = 3) -> StandardEngine:
    return engine_at(HostPlace(graph, cudart), slots)


def engine_at(place: HostPlace, slots: int = 3) -> StandardEngine:
    return StandardEngine(OrtBackend(place, SIZES), fingerprint="tiny-cpu", slots=slots, capacity=CAPACITY)


@pytest.mark.parametrize("kind", ["fp32", "fp16", "decomposed-fp32", "decomposed-fp16"])
def test_memory_of_a_device_is_bound_filled_and_read_as_that_of_the_host(
    tiny_graph: Callable[[str], Path], kind: str
) -> None:
    graph = tiny_graph(kind)
    engine, expected = recorded_engine(graph, RecordingCudart()), open_engine(graph)
    for each in (engine, expected):
        each.forward([Chunk(2, OTHER[:33], ())])
    assert np.array_equal(logits_of(engine, 0, TEXT[:70]), logits_of(expected, 0, TEXT[:70]))
    for step in range(4):
        chunks = [Chunk(0, [TEXT[70 + step]]), Chunk(2, [OTHER[33 + step]])]
        for one, other in zip(engine.forward(chunks), expected.forward(chunks), strict=True):
            assert np.array_equal(one, other)
    [none] = engine.forward([Chunk(1, TEXT[:5], ())])
    assert none.shape == (0, 320)
    segment = engine.copy_out(2, 4, 30)
    assert isinstance(segment.arrays[0], DeviceKVArray)
    for one, other in zip(segment.arrays, expected.copy_out(2, 4, 30).arrays, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_segments_of_device_and_host_are_restored(tiny_graph: Callable[[str], Path]) -> None:
    engine, host = recorded_engine(tiny_graph("fp16"), RecordingCudart()), open_engine(tiny_graph("fp16"))
    whole = logits_of(engine, 0, TEXT[:60])
    host.forward([Chunk(0, TEXT[:60], ())])
    for source in (engine, host):
        segments = [source.copy_out(0, 0, 20), source.copy_out(0, 10, 50).part(20, 41)]
        engine.copy_in(1, segments, 37)
        assert np.array_equal(logits_of(engine, 1, TEXT[37:60]), whole[37:])


def test_a_pack_of_device_memory_is_that_of_host_memory(tiny_graph: Callable[[str], Path], tmp_path: Path) -> None:
    engine, host = recorded_engine(tiny_graph("fp16"), RecordingCudart()), open_engine(tiny_graph("fp16"))
    key = PackKey("tiny-cpu", "tokenizer", "fp16", "build")
    for name, each in (("device", engine), ("host", host)):
        each.forward([Chunk(0, TEXT[:30], ())])
        store = KVStore("tiny-cpu", 2**20)
        store.put_pinned(TEXT[:30], each.copy_out(0, 0, 30))
        save_pack(tmp_path / name, key, store)
    assert (tmp_path / "device").read_bytes() == (tmp_path / "host").read_bytes()
    restored = KVStore("tiny-cpu", 2**20)
    assert load_pack(tmp_path / "device", key, restored).restored_tokens == 30
    hit = restored.longest(TEXT[:40])
    assert hit is not None
    engine.copy_in(1, hit.segments, hit.length)
    assert np.array_equal(logits_of(engine, 1, TEXT[30:40]), logits_of(host, 0, TEXT[30:40]))


@pytest.mark.parametrize("kind", ["fp16", "decomposed-fp16"])
def test_memory_of_a_closed_engine_is_given_back(tiny_graph: Callable[[str], Path], kind: str) -> None:
    cudart = RecordingCudart()
    engine = recorded_engine(tiny_graph(kind), cudart)
    fork = engine.fork(5)
    logits_of(engine, 0, TEXT)
    fork.forward([Chunk(4, [7])])
    engine.close()
    assert logits_of(fork, 0, TEXT).shape == (CAPACITY, 320)
    fork.close()
    del engine, fork
    assert (cudart.used, cudart.pinned, cudart.streams) == (0, {}, set())


def test_each_step_of_the_first_kv_has_a_graph_and_all_run_on_one_thread(
    tiny_graph: Callable[[str], Path],
) -> None:
    place = HostPlace(tiny_graph("fp16"), RecordingCudart())
    engine = engine_at(place)
    for each in (engine, engine.fork(3), engine.fork(3)):
        for _ in range(3):
            for slot in (0, 2):
                thread = threading.Thread(target=logits_of, args=(each, slot, TEXT[:5]))
                thread.start()
                thread.join()
                each.forward([Chunk(slot, [7])])
                each.truncate(slot, 0)
        if each is not engine:
            each.close()
    assert len({run.thread for run in place.runs}) == 1
    graphs = defaultdict(list)
    for run in place.runs:
        graphs[run.binding].append(run.graph)
    captured = [launched[1] for launched in graphs.values()][:4]
    assert len(set(captured) - {-1}) == 4
    forks = [[-1, -1, -1]] * (2 * 4)
    assert list(graphs.values()) == [[-1, graph, graph] for graph in captured] + forks
    engine.close()


def test_what_runs_on_the_cpu_instead_is_refused(tiny_graph: Callable[[str], Path]) -> None:
    with pytest.raises(MissingDependency, match="does not start here"):
        check_all_on_gpu(open_session(tiny_graph("fp16"), 1, [(CPU, {})]))
    with pytest.raises(MissingDependency, match="no CUDA kernel for Add, Attention"):
        check_all_on_gpu(HostSession(tiny_graph("fp16"), RecordingCudart(), []))


@pytest.mark.skipif(CUDA in ort.get_available_providers(), reason="this ONNX Runtime has CUDA")
def test_a_build_without_cuda_is_refused_with_the_cure(tiny_graph: Callable[[str], Path]) -> None:
    with pytest.raises(MissingDependency, match=r'pip install "edge-autoglm\[cuda\]"'):
        OrtBackend.load(tiny_graph("fp16"), threads=1, provider="cuda", sizes=SIZES)
