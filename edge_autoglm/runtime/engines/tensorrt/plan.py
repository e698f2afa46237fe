"""A plan as TensorRT has it in memory: the weights on the GPU, what it says of its graph, and contexts to run it in."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_autoglm.device.tensorrt_import import TensorRT
from edge_autoglm.device.tensorrt_log import tensorrt_log
from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engines.standard.backend import GraphFacts
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.standard.steps import by_name, cache_names, empty_inputs
from edge_autoglm.runtime.engines.tensorrt.kernels import CompiledKernels

_PREFILL, _DECODE = 0, 1
"""Optimisation profiles of a plan."""
_REBUILD = (
    "Build it again on this device: edge-autoglm rebuild BUNDLE; or, where memory is short, end what else uses the GPU."
)
_SMALLEST = StepShape(rows=1, tokens=1, live=1, wanted=1)


class LoadedPlan:
    """A deserialised plan.

    TensorRT works on the device that is current on the calling thread: let it be the plan's.

    Args:
        file: Of the plan.
        library: The one that built it.
        kernels: Where TensorRT-RTX keeps what it compiles for the GPU; ``None`` for nowhere.

    Attributes:
        facts: Of the graph.
        cache: Names of what a step reads of the KV cache and what it gives for it; see `cache_names`.
        scratch_bytes: That a step needs beside weights and tensors, whatever its shape.

    Raises:
        EngineError: TensorRT does not open it, or it is not the plan of a standard graph.
    """

    def __init__(self, file: Path, library: TensorRT, kernels: Path | None = None) -> None:
        self._file = file
        self._library = library
        self._log = tensorrt_log(library)
        self._runtime = library.module.Runtime(self._log.logger)
        self._engine = self._deserialized()
        in_place = "write_indices" in self._names()
        self.cache = self._read_cache(in_place)
        self.facts = self._read_facts(in_place)
        self.scratch_bytes = int(self._engine.device_memory_size_v2)
        self._compiled: CompiledKernels | None = None
        self._config = self._runtime_config(kernels)

    def context(self, shape: StepShape, stream: int) -> Any:
        """An ``IExecutionContext`` for steps of one shape; it lacks scratch memory and the addresses of its tensors.

        Args:
            shape: Of the steps.
            stream: They will run on.

        Raises:
            EngineError: The plan was not built for the shape, or the device has not enough memory left.
        """
        facts = self.facts
        shapes = {name: array.shape for name, array in by_name(empty_inputs(shape), facts.in_place).items()}
        for past, _ in self.cache:
            shapes[past] = (shape.rows, facts.kv_heads, facts.columns, facts.head_dim)
        profile = _DECODE if shape.tokens == 1 else _PREFILL
        with self._log.listening() as heard:
            context = self._engine.create_execution_context(self._config)
            try:
                taken = (
                    context is not None
                    and context.set_optimization_profile_async(profile, stream)
                    and all(context.set_input_shape(name, dimensions) for name, dimensions in shapes.items())
                    and not context.infer_shapes()
                )
            except RuntimeError as error:  # of infer_shapes
                raise self._error(f"it does not take {shape}", [*heard.errors, str(error)]) from error
        if not taken:
            raise self._error(f"it does not take {shape}", heard.errors)
        return context

    def set_address(self, context: Any, tensor: str, address: int) -> None:
        """Say where a tensor lies from now on.

        Raises:
            EngineError: TensorRT refuses; the context would go on with the memory that it had before.
        """
        with self._log.listening() as heard:
            taken = context.set_tensor_address(tensor, address)
        if not taken:
            raise self._error(f"{tensor} cannot lie at {address:#x}", heard.errors)

    def enqueue(self, context: Any, stream: int) -> None:
        """Enqueue a step.

        Raises:
            EngineError: TensorRT refuses.
        """
        with self._log.listening() as heard:
            enqueued = context.execute_async_v3(stream)
        if not enqueued:
            raise self._error("a step fails", heard.errors)

    def keep_kernels(self) -> None:
        """Keep what was compiled so far for other processes; after the first run of a shape there is more."""
        if self._compiled is not None:
            self._compiled.keep()

    def close(self) -> None:
        """Free the weights, once no context is left. Idempotent."""
        self._config = self._compiled = self._engine = self._runtime = None

    def _deserialized(self) -> Any:
        try:
            with (
                self._file.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
                self._log.listening() as heard,
            ):
                engine = self._runtime.deserialize_cuda_engine(content)
        except (OSError, ValueError) as error:  # ValueError: there is nothing in it
            raise self._error("it cannot be read", [str(error)]) from error
        if engine is None:
            raise self._error(f"{self._library.name} {self._library.version} does not open it", heard.errors)
        return engine

    def _read_cache(self, in_place: bool) -> tuple[tuple[str, str], ...]:
        names = self._names()
        cache = cache_names(sum(name.startswith("past_key.") for name in names), in_place)
        expected = {*by_name(empty_inputs(_SMALLEST), in_place), *itertools.chain(*cache), "logits"}
        if not cache or {*names} != expected or self._engine.num_optimization_profiles != 2:
            raise self._error("it is not the plan of a standard graph", [f"its tensors are {', '.join(names)}"])
        for past, present in cache if in_place else ():
            if self._engine.get_aliased_input_tensor(present) != past:
                raise self._error(f"it does not update {past} in place", [])
        return cache

    def _read_facts(self, in_place: bool) -> GraphFacts:
        for name, array in by_name(empty_inputs(_SMALLEST), in_place).items():
            if self._dtype(name) != array.dtype:
                raise self._error(f"its input {name} is {self._dtype(name)}, not {array.dtype}", [])
        key = self.cache[0][0]
        _, kv_heads, columns, head_dim = self._engine.get_tensor_shape(key)
        _, vocab_size = self._engine.get_tensor_shape("logits")
        return GraphFacts(len(self.cache) // 2, kv_heads, head_dim, columns, self._dtype(key), vocab_size, in_place)

    def _names(self) -> list[str]:
        return [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]

    def _dtype(self, name: str) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self._library.module.nptype(self._engine.get_tensor_dtype(name)))
        return dtype

    def _runtime_config(self, kernels: Path | None) -> Any:
        """What `create_execution_context` takes."""
        trt = self._library.module
        unallocated = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(self._engine, "create_runtime_config"):  # older TensorRT
            return unallocated
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(unallocated)
        if self._library.is_rtx:
            # By default kernels are compiled for a new shape in the background, and take over from others in the middle
            # of the work: a token's bits would depend on when it is computed. Nor could they be captured in a graph.
            config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
            runtime_cache = config.create_runtime_cache()
            config.set_runtime_cache(runtime_cache)  # contexts share what was compiled for one of them
            self._compiled = None if kernels is None else CompiledKernels(runtime_cache, kernels)
        return config

    def _error(self, cause: str, said: Sequence[str]) -> EngineError:
        words = f": {' '.join(said)}" if said else ""
        return EngineError(f"TensorRT plan {self._file}: {cause}{words}", _REBUILD)
