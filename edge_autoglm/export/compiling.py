"""Compiling plans with the TensorRT that is installed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle import PlanEntry
from edge_autoglm.device.accelerators import detect_accelerators
from edge_autoglm.device.tensorrt_import import TensorRT, load_tensorrt
from edge_autoglm.errors import ExportError
from edge_autoglm.export.tensorrt.capabilities import choose_capabilities
from edge_autoglm.export.tensorrt.plan import build_plan
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.values import Progress


@dataclass(frozen=True, slots=True)
class Compiler:
    """Makes plans of standard graphs.

    Attributes:
        library: That compiles.
        sizes: That a plan is compiled for.
        compute_capabilities: Of the GPUs that a plan is for.
    """

    library: TensorRT
    sizes: StepSizes
    compute_capabilities: tuple[str, ...]

    @classmethod
    def here(cls, sizes: StepSizes, compute_capabilities: Sequence[str] = ()) -> Compiler:
        """With the library that is installed.

        Args:
            sizes: That a plan is compiled for.
            compute_capabilities: Of the GPUs that it is for; the library's own choice where there are none.

        Raises:
            MissingDependency: No TensorRT is installed.
            ExportError: It cannot compile here for those GPUs.
        """
        library = load_tensorrt()
        chosen = choose_capabilities(compute_capabilities, library, detect_accelerators().gpus)
        return cls(library, sizes, chosen)

    def check_native(self) -> None:
        """Refuse to compile graphs of the native lowering where the library lacks the layers for them.

        Raises:
            ExportError: It does.
        """
        if not self.library.has_native_layers:
            raise ExportError(
                f"{self.library.name} {self.library.version} is too old for the layers of the native graph, which "
                "came with 10.15",
                "Export the graph for older ones: --lowering decomposed.",
            )

    def compile(self, graph: Path, out: Path, timing_cache: Path | None, progress: Progress) -> PlanEntry:
        """Compile a graph.

        Args:
            graph: A standard graph, its weights beside it.
            out: The plan's file.
            timing_cache: What was learnt of this GPU's kernels; read and written; ``None`` for none.
            progress: Stage ``plan``.

        Returns:
            What the plan is for, with the name of its file as path.

        Raises:
            ExportError: The library cannot compile the graph, or not for those GPUs.
        """
        return build_plan(
            graph,
            out,
            sizes=self.sizes,
            library=self.library,
            compute_capabilities=self.compute_capabilities,
            timing_cache=timing_cache,
            progress=progress,
        )
