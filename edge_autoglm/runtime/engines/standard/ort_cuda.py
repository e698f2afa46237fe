"""The standard graph on ONNX Runtime's CUDA provider: KV on the GPU, bound in place.

The inputs of a step lie on the GPU too, and are copied there before it runs: a binding of host memory would be copied
once, when it is bound. Steps of the first KV state run as CUDA graphs from their second run on (`CudaSession`).
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edge_autoglm.errors import MissingDependency
from edge_autoglm.runtime.engine import KVArray, Logits
from edge_autoglm.runtime.engines.cuda.cudart import Cudart, Direction
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceBuffer, DeviceKV, DeviceMemory, aligned_kv
from edge_autoglm.runtime.engines.standard.backend import GraphFacts, StepInputs
from edge_autoglm.runtime.engines.standard.ort_cuda_session import CudaSession
from edge_autoglm.runtime.engines.standard.ort_session import CPU, nodes_on, open_session
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.standard.steps import by_name, cache_names, empty_inputs

CUDA = "CUDAExecutionProvider"

_SHAPE_OPERATORS = frozenset({"Range", "Shape", "Squeeze"})
"""What ONNX Runtime leaves on the CPU on purpose: numbers that say how much the GPU is to do."""

Bound = tuple[str, int, type, tuple[int, ...], int]
"""What a binding wants to know: kind and number of the device, type, shape, address."""

_DEVICE = "cuda"


class CudaPlace:
    """Implements `Place`; arguments and errors are those of ``OrtBackend.load``."""

    def __init__(self, graph: Path, threads: int) -> None:
        if CUDA not in ort.get_available_providers():
            raise MissingDependency(
                f"ONNX Runtime {ort.__version__} is a build without CUDA",
                'Install the other one: pip uninstall -y onnxruntime; pip install "edge-autoglm[cuda]"',
            )
        self._cudart = Cudart()
        self._cudart.make_current()  # so that it is not the graph that gets blamed for a missing GPU
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it does not find in wheels and on the system
            ort.preload_dlls()
        device = str(self._cudart.device)

        def open_here(graphs: bool) -> ort.InferenceSession:
            # TF32 would round float32 products to 10 bits.
            options = {"device_id": device, "use_tf32": "0", "enable_cuda_graph": str(int(graphs))}
            session = open_session(graph, threads, [(CUDA, options)])
            check_all_on_gpu(session)
            return session

        self._session = CudaSession(open_here, self._cudart)

    @property
    def session(self) -> Any:
        """See `Place`."""
        return self._session.session

    def kv(self, facts: GraphFacts, slots: int, wanted: int) -> CudaKV:
        """See `Place`."""
        return CudaKV(self._session, self._cudart, facts, slots, wanted)

    def close(self) -> None:
        """See `Place`."""
        self._session.close()


def check_all_on_gpu(session: ort.InferenceSession) -> None:
    """A session for a GPU must not run on the CPU instead, or in parts.

    Raises:
        MissingDependency: It does.
    """
    if CUDA not in session.get_providers():
        raise MissingDependency(
            f"ONNX Runtime {ort.__version__} has CUDA, and it does not start here",
            "See what `edge-autoglm doctor` says of GPUs; the libraries of CUDA come with: "
            'pip install "onnxruntime-gpu[cuda,cudnn]"',
        )
    stray = sorted(set(nodes_on(session, CPU)) - _SHAPE_OPERATORS)
    if stray:
        raise MissingDependency(
            f"ONNX Runtime {ort.__version__} has no CUDA kernel for {', '.join(stray)} of this graph",
            'Update it: pip install -U "edge-autoglm[cuda]"; or run on TensorRT or on the CPU.',
        )


class CudaKV:
    """Implements `StandardKV`.

    Args:
        session: Runs the graph.
        cudart: Of the session's device.
        facts: Of the graph.
        slots: Rows.
        wanted: Most logits that a step gives.
    """

    def __init__(self, session: CudaSession, cudart: Cudart, facts: GraphFacts, slots: int, wanted: int) -> None:
        self._session = session
        self._captures = session.claim_graphs()
        self._cudart = cudart
        self._memory = DeviceMemory(cudart)
        self._stream = cudart.stream()
        weakref.finalize(self, cudart.destroy_stream, self._stream).atexit = False
        self._facts = facts
        self._kv = DeviceKV(self._memory, facts.kv_shape(slots, facts.columns), facts.kv_dtype)
        # One step runs at a time: those of one shape share their inputs and what is new, all of them the logits.
        self._inputs: dict[StepShape, tuple[StepInputs, dict[str, Mirror]]] = {}
        self._new: dict[StepShape, DeviceKV] = {}
        self._logits = self._mirror(cudart.pinned((wanted, facts.vocab_size), np.float32))

    def bind(self, first_row: int, shape: StepShape) -> CudaStep:
        """See `StandardKV`."""
        facts = self._facts
        if shape not in self._inputs:
            inputs = empty_inputs(shape, self._cudart.pinned)
            arrays = by_name(inputs, facts.in_place)
            self._inputs[shape] = inputs, {name: self._mirror(array) for name, array in arrays.items()}
            if not facts.in_place:
                rows = facts.kv_shape(shape.rows, shape.tokens)
                self._new[shape] = aligned_kv(self._memory, rows, facts.kv_dtype)
        (inputs, mirrors), new = self._inputs[shape], self._new.get(shape)
        binding = self._session.session.io_binding()
        for plane, (past, present) in enumerate(cache_names(facts.layers, facts.in_place)):
            place = self._rows(self._kv, plane, first_row, shape.rows)
            binding.bind_input(past, *place)
            binding.bind_output(present, *(place if new is None else self._rows(new, plane, 0, shape.rows)))
        for name, mirror in mirrors.items():
            binding.bind_input(name, *self._place(mirror.host.dtype, mirror.host.shape, mirror.address))
        logits = self._logits.host[: shape.wanted]
        binding.bind_output("logits", *self._place(logits.dtype, logits.shape, self._logits.address))
        put = None if new is None else partial(self._enqueue_put, first_row, inputs, new)
        return CudaStep(self._session, self._captures, binding, inputs, tuple(mirrors.values()), self._logits, put)

    def copy_out(self, slot: int, begin: int, end: int) -> tuple[KVArray, ...]:
        """See `StandardKV`."""
        return (self._kv.copy_out(slot, begin, end),)

    def copy_in(self, slot: int, begin: int, arrays: Sequence[KVArray], length: int) -> None:
        """See `StandardKV`."""
        [array] = arrays
        self._kv.copy_in(slot, begin, array, length)

    def close(self) -> None:
        """See `StandardKV`."""
        self._inputs.clear()
        self._new.clear()
        self._kv.free()

    def _enqueue_put(self, first_row: int, inputs: StepInputs, new: DeviceKV) -> None:
        self._kv.enqueue_put(first_row, inputs.write_indices.tolist(), new, self._stream)

    def _rows(self, kv: DeviceKV, plane: int, first: int, count: int) -> Bound:
        return self._place(kv.dtype, (count, *kv.shape[2:]), kv.address(plane, first))

    def _mirror(self, host: npt.NDArray[Any]) -> Mirror:
        return Mirror(host, self._memory.allocate(host.nbytes), self._cudart, self._stream)

    def _place(self, dtype: np.dtype[Any], shape: tuple[int, ...], address: int) -> Bound:
        return _DEVICE, self._cudart.device, dtype.type, shape, address


class Mirror:
    """Pinned memory of the host, as much on the device, and the copies from one to the other."""

    def __init__(self, host: npt.NDArray[Any], buffer: DeviceBuffer, cudart: Cudart, stream: int) -> None:
        self.host = host
        self._buffer = buffer
        self._cudart = cudart
        self._stream = stream

    @property
    def address(self) -> int:
        """On the device."""
        return self._buffer.address

    def enqueue_upload(self) -> None:
        """Copy all of it to the device, some time before `wait` returns."""
        self._copy(Direction.TO_DEVICE, self.address, self.host.ctypes.data, self.host.nbytes)

    def download(self, rows: int) -> npt.NDArray[Any]:
        """The first rows as they are on the device, a copy, once all that was enqueued is done."""
        part = self.host[:rows]
        if rows:
            self._copy(Direction.TO_HOST, part.ctypes.data, self.address, part.nbytes)
        self.wait()
        return part.copy()

    def wait(self) -> None:
        """Wait for what was enqueued, here and with its like of the same KV."""
        self._cudart.synchronize(self._stream)

    def _copy(self, direction: Direction, target: int, source: int, nbytes: int) -> None:
        self._cudart.copy(direction, target, source, nbytes, self._stream)


class CudaStep:
    """Implements `BoundStep`. Its first run needs no graph: many a step runs once only, and errors are its own there.

    Args:
        session: Runs the graph.
        captures: Whether it may become a CUDA graph.
        binding: Of the graph's inputs and outputs to memory of the device.
        inputs: Of the step.
        mirrors: Of the inputs.
        logits: Where they go, ``[N or more, vocab]``.
        enqueue_put: Puts what is new into the cache, before the logits' stream is done; ``None`` where the graph does.
    """

    def __init__(
        self,
        session: CudaSession,
        captures: bool,
        binding: ort.IOBinding,
        inputs: StepInputs,
        mirrors: Sequence[Mirror],
        logits: Mirror,
        enqueue_put: Callable[[], None] | None,
    ) -> None:
        self._session = session
        self._captures = captures
        self._binding = binding
        self._inputs = inputs
        self._mirrors = mirrors
        self._logits = logits
        self._enqueue_put = enqueue_put
        self._graph: ort.RunOptions | None = None
        self._has_run = False

    @property
    def inputs(self) -> StepInputs:
        """See `BoundStep`."""
        return self._inputs

    def run(self, wanted: int) -> Logits:
        """See `BoundStep`."""
        for mirror in self._mirrors:
            mirror.enqueue_upload()
        self._logits.wait()  # ONNX Runtime has a stream of its own, and returns when that is done
        self._compute()
        if self._enqueue_put is not None:
            self._enqueue_put()
        return self._logits.download(wanted)

    def _compute(self) -> None:
        if self._graph is not None:
            self._session.launch(self._binding, self._graph)
            return
        if self._captures and self._has_run:
            self._graph = self._session.capture(self._binding)
        if self._graph is None:
            self._session.run(self._binding)
            self._has_run = True
