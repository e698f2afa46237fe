"""The standard graph as a TensorRT plan: KV and steps on the GPU. No torch, no CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.tensorrt_import import load_tensorrt
from edge_autoglm.runtime.engine import KVArray
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceKV, DeviceMemory
from edge_autoglm.runtime.engines.standard.backend import GraphFacts, StepInputs
from edge_autoglm.runtime.engines.standard.sizes import StepShape, StepSizes
from edge_autoglm.runtime.engines.standard.steps import empty_inputs
from edge_autoglm.runtime.engines.tensorrt.contexts import Contexts
from edge_autoglm.runtime.engines.tensorrt.graphs import Graphs
from edge_autoglm.runtime.engines.tensorrt.plan import LoadedPlan
from edge_autoglm.runtime.engines.tensorrt.step import TensorRTStep


class TensorRTBackend:
    """Implements `Backend`.

    Args:
        plan: Opened on the device.
        sizes: That it was built for.
        cudart: Of the device.

    Raises:
        MemoryBudgetExceeded: The device has not enough memory left.
    """

    def __init__(self, plan: LoadedPlan, sizes: StepSizes, cudart: Cudart) -> None:
        self._plan = plan
        self._sizes = sizes
        self._cudart = cudart
        self._memory = DeviceMemory(cudart)
        self._contexts = Contexts(plan, cudart, self._memory, max(sizes.rows, sizes.head_rows))
        self._graphs = Graphs(cudart, self._contexts.stream)

    @classmethod
    def load(cls, plan: Path, entry: PlanEntry, *, kernels: Path | None = None, device: int = 0) -> TensorRTBackend:
        """Open a plan.

        Args:
            plan: The file, its content checked.
            entry: What it is for.
            kernels: Where TensorRT-RTX keeps what it compiles for the GPU; ``None`` for nowhere.
            device: Number of the GPU.

        Raises:
            MissingDependency: The library, the CUDA runtime or the driver is not installed.
            EngineError: There is no such GPU, or TensorRT does not open the plan.
            MemoryBudgetExceeded: The device has not enough memory left.
        """
        library = load_tensorrt(entry.library)
        cudart = Cudart(device)
        cudart.make_current()
        sizes = StepSizes(rows=entry.rows, page=entry.page, head_rows=entry.head_rows)
        return cls(LoadedPlan(plan, library, kernels), sizes, cudart)

    @property
    def facts(self) -> GraphFacts:
        """See `Backend`."""
        return self._plan.facts

    @property
    def sizes(self) -> StepSizes:
        """See `Backend`."""
        return self._sizes

    def kv(self, slots: int) -> TensorRTKV:
        """See `Backend`."""
        facts = self.facts
        kv = DeviceKV(self._memory, facts.kv_shape(slots, facts.columns), facts.kv_dtype)
        return TensorRTKV(kv, self._contexts, self._graphs, self._cudart)

    def close(self) -> None:
        """See `Backend`."""
        self._contexts.close()
        self._plan.close()


class TensorRTKV:
    """Implements `StandardKV`.

    Args:
        kv: The cache.
        contexts: In which steps over it run.
        graphs: Of those steps.
        cudart: Of its device.
    """

    def __init__(self, kv: DeviceKV, contexts: Contexts, graphs: Graphs, cudart: Cudart) -> None:
        self._kv = kv
        self._contexts = contexts
        self._graphs = graphs
        self._cudart = cudart
        self._inputs: dict[StepShape, StepInputs] = {}
        self._steps: list[TensorRTStep] = []

    def bind(self, first_row: int, shape: StepShape) -> TensorRTStep:
        """See `StandardKV`."""
        if shape not in self._inputs:  # for all rows, as one step runs at a time
            self._inputs[shape] = empty_inputs(shape, self._cudart.pinned)
        step = TensorRTStep(self._contexts, self._graphs, shape, self._kv, first_row, self._inputs[shape])
        self._steps.append(step)
        return step

    def copy_out(self, slot: int, begin: int, end: int) -> tuple[KVArray, ...]:
        """See `StandardKV`."""
        return (self._kv.copy_out(slot, begin, end),)

    def copy_in(self, slot: int, begin: int, arrays: Sequence[KVArray], length: int) -> None:
        """See `StandardKV`."""
        [array] = arrays
        self._kv.copy_in(slot, begin, array, length)

    def close(self) -> None:
        """See `StandardKV`."""
        for step in self._steps:
            step.close()
        self._steps.clear()
        self._inputs.clear()
        self._kv.free()
