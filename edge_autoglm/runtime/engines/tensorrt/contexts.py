"""What a plan runs in: a context for each step shape, with scratch memory and a place for logits that all share.

A context for each shape, and none that changes its shape: a graph that was captured from a context stays valid only as
long as the context is as it was.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.engines.cuda.cudart import Cudart, Direction
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceBuffer, DeviceKV, DeviceMemory, aligned_kv
from edge_autoglm.runtime.engines.standard.backend import StepInputs
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.standard.steps import by_name, empty_inputs
from edge_autoglm.runtime.engines.tensorrt.plan import LoadedPlan


class Contexts:
    """One step runs at a time, on one stream, in whichever KV state it is.

    Args:
        plan: To run.
        cudart: Of its device.
        memory: Likewise.
        wanted: Most positions with logits of any step.

    Attributes:
        turn: To be held by who uses any of it: forks of an engine have KV states of their own, and this in common.
        stream: Of every step.

    Raises:
        MemoryBudgetExceeded: The device has not enough memory left.
    """

    def __init__(self, plan: LoadedPlan, cudart: Cudart, memory: DeviceMemory, wanted: int) -> None:
        self._plan = plan
        self._cudart = cudart
        self._memory = memory
        self.turn = threading.Lock()
        self.stream = cudart.stream()
        self._destroy_stream = weakref.finalize(self, cudart.destroy_stream, self.stream)
        self._destroy_stream.atexit = False
        self._scratch = memory.allocate(plan.scratch_bytes)
        self._host_logits: Logits = cudart.pinned((wanted, plan.facts.vocab_size), "float32")
        self._logits = memory.allocate(self._host_logits.nbytes)
        self._contexts: dict[StepShape, StepContext] = {}

    def of(self, shape: StepShape) -> StepContext:
        """The one context of a shape.

        Raises:
            EngineError: The plan was not built for it.
            MemoryBudgetExceeded: The device has not enough memory left.
        """
        if shape not in self._contexts:
            self._cudart.make_current()
            context = self._plan.context(shape, self.stream)
            context.set_device_memory(self._scratch.address, self._plan.scratch_bytes)
            self._plan.set_address(context, "logits", self._logits.address)
            self._contexts[shape] = StepContext(self._plan, context, shape, self._cudart, self._memory, self.stream)
        return self._contexts[shape]

    def logits(self, wanted: int) -> Logits:
        """Wait for the step; its first rows of logits, ``[wanted, vocab]``, as a copy."""
        host = self._host_logits[:wanted]
        if wanted:
            self._cudart.copy(Direction.TO_HOST, host.ctypes.data, self._logits.address, host.nbytes, self.stream)
        self._cudart.synchronize(self.stream)
        return host.copy()

    def close(self) -> None:
        """Free all of it. Idempotent."""
        self._contexts.clear()
        self._host_logits = self._host_logits[:0].copy()  # pinned memory goes with the last view of it
        self._scratch.free()
        self._logits.free()
        self._destroy_stream()


class StepContext:
    """One shape's context, and on the device its inputs and what it gives for the cache; all its steps share them."""

    def __init__(
        self, plan: LoadedPlan, context: Any, shape: StepShape, cudart: Cudart, memory: DeviceMemory, stream: int
    ) -> None:
        self._plan = plan
        self._context = context
        self._cudart = cudart
        self._stream = stream
        self._has_run = False
        self._inputs: dict[str, DeviceBuffer] = {}
        facts = plan.facts
        for name, array in by_name(empty_inputs(shape), facts.in_place).items():
            self._inputs[name] = memory.allocate(array.nbytes)
            plan.set_address(context, name, self._inputs[name].address)
        self._new: DeviceKV | None = None
        if not facts.in_place:
            self._new = aligned_kv(memory, facts.kv_shape(shape.rows, shape.tokens), facts.kv_dtype)

    def point_at(self, kv: DeviceKV, first_row: int) -> None:
        """Let the next steps read these rows, and write them where the plan updates its cache."""
        for plane, (past, given) in enumerate(self._plan.cache):
            address = kv.address(plane, first_row)
            self._plan.set_address(self._context, past, address)
            self._plan.set_address(self._context, given, address if self._new is None else self._new.address(plane, 0))

    def note_run(self) -> None:
        """A step is done. Behind the first one of the shape there may be kernels that were compiled for it."""
        if not self._has_run:
            self._has_run = True
            self._plan.keep_kernels()

    def enqueue_put(self, kv: DeviceKV, first_row: int, inputs: StepInputs) -> None:
        """Put what a step gave into its rows, where the plan did not.

        It is no part of a CUDA graph, since the columns are others each time.
        """
        if self._new is not None:
            kv.enqueue_put(first_row, inputs.write_indices.tolist(), self._new, self._stream)

    def enqueue(self, inputs: StepInputs) -> None:
        """Copy the inputs to the device and enqueue the step.

        Args:
            inputs: In pinned memory, since a graph may be captured from this.

        Raises:
            EngineError: TensorRT refuses.
        """
        for name, array in by_name(inputs, self._plan.facts.in_place).items():
            self._cudart.copy(
                Direction.TO_DEVICE, self._inputs[name].address, array.ctypes.data, array.nbytes, self._stream
            )
        self._plan.enqueue(self._context, self._stream)
