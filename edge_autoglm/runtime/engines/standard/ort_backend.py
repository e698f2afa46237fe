"""The standard graph on ONNX Runtime, on the CPU or on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

from edge_autoglm.runtime.engines.standard.backend import GraphFacts, StandardKV
from edge_autoglm.runtime.engines.standard.ort_cpu import CpuPlace
from edge_autoglm.runtime.engines.standard.ort_cuda import CudaPlace
from edge_autoglm.runtime.engines.standard.ort_session import graph_facts
from edge_autoglm.runtime.engines.standard.sizes import StepSizes


class Place(Protocol):
    """Where a session runs; its KV lies there."""

    @property
    def session(self) -> Any:
        """An ``onnxruntime.InferenceSession``."""
        ...

    def kv(self, facts: GraphFacts, slots: int, wanted: int) -> StandardKV:
        """KV state of some slots; no step gives more than so many logits."""
        ...

    def close(self) -> None:
        """Let the session go, and with it the weights. Idempotent."""
        ...


class OrtBackend:
    """Implements `Backend`.

    Args:
        place: With its session; its owner from now on.
        sizes: That the engine is to keep to.
    """

    def __init__(self, place: Place, sizes: StepSizes) -> None:
        self._place = place
        self.facts = graph_facts(place.session)
        self.sizes = sizes

    @classmethod
    def load(
        cls, graph: Path, *, threads: int, provider: Literal["cpu", "cuda"], sizes: StepSizes | None = None
    ) -> OrtBackend:
        """Load a graph.

        Args:
            graph: The ``.onnx`` file, its weights beside it.
            threads: Of the operator pool.
            provider: Where it runs, as a whole.
            sizes: That the engine is to keep to; the usual ones by default.

        Raises:
            DamagedBundle: ONNX Runtime cannot load the graph.
            MemoryBudgetExceeded: There is not enough memory for it.
            MissingDependency: ``cuda``, and this ONNX Runtime or this machine cannot run it all on a GPU.
            EngineError: ``cuda``, and there is no GPU.
        """
        place = CudaPlace(graph, threads) if provider == "cuda" else CpuPlace(graph, threads)
        return cls(place, sizes or StepSizes())

    def kv(self, slots: int) -> StandardKV:
        """See `Backend`."""
        return self._place.kv(self.facts, slots, max(self.sizes.rows, self.sizes.head_rows))

    def close(self) -> None:
        """See `Backend`."""
        self._place.close()
