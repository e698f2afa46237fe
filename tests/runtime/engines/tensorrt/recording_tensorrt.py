"""A recording double of the TensorRT libraries, for machines without a GPU.

Nothing is executed, and no test against it counts as execution. A "plan" is JSON that says what its graph is like; a
"step" keeps a record of what it was given, and writes numbers that tell where it was told to write: token ids into the
cache, and the indices of the wanted positions into the logits.

Classes have methods and attributes of the real ones only (``test_recording_tensorrt.py`` compares), and take no others.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

import numpy as np

from edge_autoglm.device.tensorrt_import import TensorRT
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from tests.runtime.engines.cuda.recording_cudart import ALIGNMENT, RecordingCudart
from tests.runtime.engines.tensorrt.recorded_plan import DataType, Graph

VERSION = "1.7.1"
OLD_VERSION = "10.3.0"
"""Of TensorRT itself, with fewer methods."""


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(Enum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class DynamicShapesKernelSpecializationStrategy(Enum):
    LAZY = 0
    EAGER = 1
    NONE = 2


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class ILogger:
    def __init__(self) -> None:
        self._made = True


def recording_library(record: Record, name: str = "tensorrt_rtx", version: str = VERSION) -> TensorRT:
    """The double, as `load_tensorrt` gives a library."""
    return TensorRT(RecordingTensorRT(record, name, version), name, version)


@dataclass(frozen=True)
class Execution:
    """One "step" as it would have run on the device.

    Attributes:
        context: In which it was enqueued.
        profile: Of the plan.
        shapes: Of the inputs.
        addresses: Of all tensors, scratch memory among them.
        inputs: What lay at the inputs' addresses, without the cache's.
        captured: Whether a graph was launched.
    """

    context: IExecutionContext
    profile: int
    shapes: dict[str, tuple[int, ...]]
    addresses: dict[str, int]
    inputs: dict[str, Any]
    captured: bool

    @property
    def shape(self) -> StepShape:
        rows, tokens = self.shapes["input_ids"]
        return StepShape(rows, tokens, self.shapes["attn_mask"][3], self.shapes["logits_at"][0])


@dataclass
class Record:
    """What became of the libraries.

    Attributes:
        cudart: On whose "device" steps "run".
        executions: All, in their order.
        contexts: That were made.
        enqueues: Of steps, captured ones too.
        refuse: Names of methods that fail; ``capture`` for ``execute_async_v3`` while a graph is captured.
    """

    cudart: RecordingCudart
    executions: list[Execution] = field(default_factory=list)
    contexts: list[IExecutionContext] = field(default_factory=list)
    enqueues: int = 0
    refuse: set[str] = field(default_factory=set)


class RecordingTensorRT:
    """The module ``tensorrt_rtx``, or ``tensorrt``."""

    DataType = DataType
    TensorIOMode = TensorIOMode
    ILogger = ILogger
    ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy

    def __init__(self, record: Record, name: str, version: str = VERSION) -> None:
        self.__version__ = version
        self._name = name
        self._record = record
        self._has_runtime_configs = version != OLD_VERSION
        if name == "tensorrt_rtx":
            self.DynamicShapesKernelSpecializationStrategy = DynamicShapesKernelSpecializationStrategy

    def Runtime(self, logger: Any) -> Runtime:  # noqa: N802 - the library's own name
        assert logger._made, "ILogger.__init__ was not called"
        return Runtime(self, logger)

    def nptype(self, dtype: DataType) -> type:
        return dtype.value


class Runtime:
    __slots__ = ("_logger", "_trt")

    def __init__(self, trt: RecordingTensorRT, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
        try:
            graph = Graph(**json.loads(bytes(serialized_engine)))
        except ValueError as error:
            self._logger.log(Severity.ERROR, f"this is no plan: {error}")
            return None
        kind = ICudaEngine if self._trt._has_runtime_configs else OldCudaEngine
        return kind(self._trt, self._logger, graph)


class OldCudaEngine:
    """Has neither runtime configurations nor aliases."""

    __slots__ = ("_graph", "_logger", "_trt", "device_memory_size_v2", "num_io_tensors", "num_optimization_profiles")

    def __init__(self, trt: RecordingTensorRT, logger: Any, graph: Graph) -> None:
        self._trt, self._logger, self._graph = trt, logger, graph
        self.device_memory_size_v2 = graph.scratch
        self.num_io_tensors = len(self._tensors())
        self.num_optimization_profiles = graph.profiles

    def _tensors(self) -> dict[str, tuple[DataType, tuple[int, ...]]]:
        return self._graph.inputs() | self._graph.outputs()

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors())[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._tensors()[name][1]

    def get_tensor_dtype(self, name: str) -> DataType:
        return self._tensors()[name][0]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._graph.inputs() else TensorIOMode.OUTPUT

    def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> IExecutionContext | None:
        config = IRuntimeConfig()
        config.set_execution_context_allocation_strategy(strategy)
        return self._context(config)

    def _context(self, runtime_config: IRuntimeConfig) -> IExecutionContext | None:
        assert threading.get_ident() in self._trt._record.cudart.set_on, "the device of the thread is not known"
        if "create_execution_context" in self._trt._record.refuse:
            self._logger.log(Severity.ERROR, "out of memory")
            return None
        context = IExecutionContext(self._trt, self._logger, self._graph, runtime_config)
        self._trt._record.contexts.append(context)
        return context


class ICudaEngine(OldCudaEngine):
    __slots__ = ()

    def get_aliased_input_tensor(self, name: str) -> str | None:
        return name.replace("present", "past") if self._graph.aliased and name.startswith("present") else None

    def create_runtime_config(self) -> IRuntimeConfig:
        return RtxRuntimeConfig() if self._trt._name == "tensorrt_rtx" else IRuntimeConfig()

    def create_execution_context(self, runtime_config: IRuntimeConfig) -> IExecutionContext | None:  # type: ignore[override]
        return self._context(runtime_config)


class IRuntimeConfig:
    __slots__ = ("_strategy",)

    def __init__(self) -> None:
        self._strategy = ExecutionContextAllocationStrategy.STATIC

    def set_execution_context_allocation_strategy(self, strategy: ExecutionContextAllocationStrategy) -> None:
        self._strategy = strategy


class RtxRuntimeConfig(IRuntimeConfig):
    __slots__ = ("_cache", "dynamic_shapes_kernel_specialization_strategy")

    def __init__(self) -> None:
        super().__init__()
        self.dynamic_shapes_kernel_specialization_strategy = DynamicShapesKernelSpecializationStrategy.LAZY
        self._cache: IRuntimeCache | None = None

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._cache = cache
        return True


class IRuntimeCache:
    """Holds a line for each shape that was run, and counts how often it is written out."""

    __slots__ = ("_kernels", "_written")

    def __init__(self) -> None:
        self._kernels: list[str] = []
        self._written = 0

    def _compile(self, shape: str) -> None:
        if shape not in self._kernels:
            self._kernels.append(shape)

    def serialize(self) -> bytes:
        self._written += 1
        return "\n".join(self._kernels).encode()

    def deserialize(self, blob: bytes) -> bool:
        if blob.startswith(b"of another GPU"):
            return False
        self._kernels = blob.decode().split("\n")
        return True


class IExecutionContext:
    __slots__ = ("__weakref__", "_addresses", "_config", "_graph", "_logger", "_profile", "_shapes", "_trt")

    def __init__(self, trt: RecordingTensorRT, logger: Any, graph: Graph, config: IRuntimeConfig) -> None:
        self._trt, self._logger, self._graph, self._config = trt, logger, graph, config
        self._profile: int | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle in self._trt._record.cudart.streams
        self._profile = profile_index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        declared = self._graph.inputs()[name][1]
        fits = len(shape) == len(declared) and all(d in (-1, s) for d, s in zip(declared, shape, strict=True))
        if not fits or not self._in_profile(name, shape):
            self._logger.log(Severity.ERROR, f"{name} of shape {shape} is outside profile {self._profile}")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def _in_profile(self, name: str, shape: tuple[int, ...]) -> bool:
        graph = self._graph
        rows, tokens, wanted = ((1, graph.page, graph.head_rows), (graph.rows, 1, graph.rows))[self._profile or 0]
        exact: dict[str, tuple[int, ...]] = {
            "input_ids": (rows, tokens),
            "position_ids": (rows, tokens),
            "write_indices": (rows,),
            "attn_mask": (rows, 1, tokens, shape[-1]),
            "logits_at": (wanted,),
        }
        return shape == exact.get(name, (rows, *shape[1:])) and (name != "attn_mask" or shape[3] <= graph.columns)

    def infer_shapes(self) -> list[str]:
        if "infer_shapes" in self._trt._record.refuse:
            return ["attn_mask"]
        if "infer_shapes raises" in self._trt._record.refuse:
            raise RuntimeError("infer_shapes error code: 3")
        return [name for name in self._graph.inputs() if name not in self._shapes]

    def set_device_memory(self, memory: int, size: int) -> None:
        assert self._config._strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        assert size >= self._graph.scratch
        self._addresses["scratch"] = memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert name in self._graph.inputs() | self._graph.outputs()
        if memory % ALIGNMENT or "set_tensor_address" in self._trt._record.refuse:
            self._logger.log(Severity.ERROR, f"{name} is not aligned")
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._trt._record.enqueues += 1
        expected = {*self._graph.inputs(), *self._graph.outputs(), "scratch"}
        capturing = self._trt._record.cudart.capturing
        refused = {"execute_async_v3", "capture"} if capturing else {"execute_async_v3"}
        if refused & self._trt._record.refuse or self._addresses.keys() != expected:
            self._logger.log(Severity.ERROR, "cannot execute")
            return False
        if isinstance(self._config, RtxRuntimeConfig) and self._config._cache is not None:
            self._config._cache._compile(str(self._shapes["attn_mask"]))
        work = self._work(self._profile or 0, dict(self._shapes), dict(self._addresses), capturing)
        return self._trt._record.cudart.enqueue(stream_handle, work) == 0

    def _work(
        self, profile: int, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int], captured: bool
    ) -> Callable[[], None]:
        """The step with shapes and addresses as they are now."""

        def work() -> None:
            inputs = {
                name: self._at(addresses[name], shapes[name], dtype).copy()
                for name, (dtype, _) in self._graph.inputs().items()
                if not name.startswith("past_")
            }
            self._trt._record.executions.append(Execution(self, profile, shapes, addresses, inputs, captured))
            for place in self._graph.places():
                self._give(place, shapes[f"past_{place}"], addresses, inputs)
            logits = (*shapes["logits_at"], self._graph.vocab_size)
            self._at(addresses["logits"], logits, DataType.FLOAT)[:] = inputs["logits_at"][:, None]
            self._trt._record.cudart.bytes_at(addresses["scratch"], self._graph.scratch).fill(0xEE)

        return work

    def _give(self, place: str, shape: tuple[int, ...], addresses: dict[str, int], inputs: dict[str, Any]) -> None:
        """Token ids as keys or values."""
        past, given = addresses[f"past_{place}"], addresses[f"{self._graph.given}_{place}"]
        dtype, ids = DataType[self._graph.cache_type], inputs["input_ids"]
        if not self._graph.in_place:
            rows, heads, _, channels = shape
            self._at(given, (rows, heads, ids.shape[1], channels), dtype)[:] = ids[:, None, :, None]
            return
        assert past == given, "a cache is updated in place"
        cache = self._at(past, shape, dtype)
        for row, begin in enumerate(inputs["write_indices"]):
            cache[row, :, begin : begin + ids.shape[1]] = ids[row][:, None]

    def _at(self, address: int, shape: tuple[int, ...], dtype: DataType) -> Any:
        kind = np.dtype(dtype.value)
        nbytes = int(np.prod(shape)) * kind.itemsize
        return self._trt._record.cudart.bytes_at(address, nbytes).view(kind).reshape(shape)
