"""A plan for the device at hand, compiled from the graph that its bundle brings."""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.bundle import Bundle, EngineEntry
from edge_autoglm.bundle.plan_folder import PlanFolder, RebuiltPlan
from edge_autoglm.errors import BundleError
from edge_autoglm.export.compiling import Compiler
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.values import Progress, silent


def rebuild_plan(
    bundle: Bundle,
    *,
    slots: int | None = None,
    compute_capabilities: Sequence[str] = (),
    progress: Progress = silent,
) -> RebuiltPlan:
    """Compile a plan for the TensorRT and the GPU that are here, and keep it in the user's cache.

    Args:
        bundle: Verified; stays as it is.
        slots: Rows that decode in one step; by default as many as in the bundle's own plan, or 4.
        compute_capabilities: Of the GPUs that it is for; those that are here by default.
        progress: Stages ``plan`` and ``hashing``.

    Raises:
        BundleError: The bundle has no graph for TensorRT, or the plan cannot be kept.
        MissingDependency: No TensorRT is installed.
        ExportError: It cannot compile the graph, or not here for those GPUs.
    """
    entry = _standard(bundle)
    compiler = Compiler.here(_sizes(entry, slots), compute_capabilities)
    folder = PlanFolder.of(bundle.fingerprint)
    graph = bundle.path(entry.graph)
    return folder.keep(lambda out: compiler.compile(graph, out, folder.timing_cache, progress), progress)


def _standard(bundle: Bundle) -> EngineEntry:
    for entry in bundle.manifest.engines:
        if entry.kind == "standard":
            return entry
    raise BundleError(
        f"the bundle {bundle.root} has no graph that TensorRT can compile", "Export the model with --target tensorrt."
    )


def _sizes(entry: EngineEntry, slots: int | None) -> StepSizes:
    if slots is not None:
        return StepSizes(rows=slots)
    return next((StepSizes(plan.rows, plan.page, plan.head_rows) for plan in entry.plans), StepSizes())
