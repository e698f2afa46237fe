"""From a standard graph to a plan."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_autoglm.bundle.atomic import written_aside
from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.accelerators import detect_accelerators
from edge_autoglm.device.tensorrt_import import TensorRT, platform_name
from edge_autoglm.device.tensorrt_log import tensorrt_log
from edge_autoglm.errors import ExportError
from edge_autoglm.export.tensorrt.capabilities import choose_capabilities, member
from edge_autoglm.export.tensorrt.inspect import PlanFigures
from edge_autoglm.export.tensorrt.monitor import WHOLE, BuildBar, progress_monitor
from edge_autoglm.export.tensorrt.network import cache_columns, parse
from edge_autoglm.export.tensorrt.profiles import add_profile, step_profiles
from edge_autoglm.export.tensorrt.timing_cache import load_timings, store_timings
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.values import Progress

_log = logging.getLogger("edge_autoglm")

_STAGE = "plan"
_WORKSPACE = 1 << 30
"""Bytes of scratch that a kernel may ask for. It is far more than any should need; an edge device has little."""
_REPORT_SECONDS = 0.1


def build_plan(
    graph: Path,
    out: Path,
    *,
    sizes: StepSizes,
    library: TensorRT,
    compute_capabilities: Sequence[str],
    timing_cache: Path | None,
    progress: Progress,
) -> PlanEntry:
    """Compile a standard graph for some GPUs.

    TensorRT-RTX needs no GPU for it; TensorRT builds for the GPU of this machine.

    Args:
        graph: The ``.onnx`` file of the native lowering, its weights beside it.
        out: File to write, which appears whole or not at all; its folder must exist.
        sizes: Of the steps that the plan can run.
        library: That compiles. No other version of it opens the plan.
        compute_capabilities: Of the GPUs, as ``8.9``, ``89`` or ``sm89``; empty for those that are here, see
            `choose_capabilities`.
        timing_cache: File with kernel timings of earlier builds, which TensorRT reads and extends. TensorRT-RTX times
            its kernels on the device, and leaves the file alone.
        progress: Told of stage ``plan``, on the caller's thread. What it raises ends the build, as does Ctrl-C, and is
            raised again once TensorRT has stopped, which it does at its next step.

    Returns:
        What the plan is for; its path is the name of ``out``.

    Raises:
        ExportError: Unknown compute capability; the graph is damaged or not a standard one; TensorRT cannot compile it;
            or ``out`` cannot be written.
    """
    capabilities = choose_capabilities(compute_capabilities, library, detect_accelerators().gpus)
    if not os.access(out.parent, os.W_OK):  # found out before the build, which may take minutes
        raise _unwritable(out, "its folder is missing or read-only")
    bar = BuildBar()
    compiler = _Compiler(library, sizes, capabilities, None if library.is_rtx else timing_cache, bar)
    plan = _watched(lambda: compiler.compile(graph), bar, progress)
    try:
        with written_aside(out, f".{out.name}.partial") as file:
            file.write(plan)
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from error
    return PlanEntry(
        path=out.name,
        library=library.name,
        version=library.version,
        compute_capabilities=capabilities,
        platform=platform_name(),
        rows=sizes.rows,
        page=sizes.page,
        head_rows=sizes.head_rows,
    )


def _watched(build: Callable[[], Any], bar: BuildBar, progress: Progress) -> Any:
    """The result of a build that runs on a thread of its own.

    An exception in a callback would have to pass through TensorRT's frames, which do not let any through; and Ctrl-C
    raises one wherever the main thread is. So no callback of ours raises, and the caller's thread only waits.
    """
    progress(_STAGE, 0, WHOLE)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-autoglm-plan") as thread:
        future = thread.submit(build)
        try:
            while not wait([future], timeout=_REPORT_SECONDS).done:
                progress(_STAGE, bar.reached, WHOLE)
        except BaseException:
            bar.cancel()
            raise
    plan = future.result()
    progress(_STAGE, WHOLE, WHOLE)
    return plan


@dataclass(frozen=True, slots=True)
class _Compiler:
    library: TensorRT
    sizes: StepSizes
    capabilities: tuple[str, ...]
    timing_cache: Path | None
    bar: BuildBar

    def compile(self, graph: Path) -> Any:
        """The plan, as a buffer."""
        log = tensorrt_log(self.library)
        with log.listening() as heard:
            builder = self.library.module.Builder(log.logger)
            network, _parser = parse(self.library, builder, graph, log.logger, heard)
            config, monitor = self._config(builder), progress_monitor(self.library, self.bar)
            config.progress_monitor = monitor
            for profile in step_profiles(self.sizes, cache_columns(network, graph)):
                add_profile(builder, network, config, profile)
            plan = builder.build_serialized_network(network, config)
        if plan is None:
            words = " ".join(heard.errors) or "it does not say why"
            raise ExportError(
                f"{graph}: TensorRT cannot compile it for {', '.join(self.capabilities)}: {words}",
                "Export the model in another precision, or for other compute capabilities.",
            )
        if self.timing_cache is not None:
            store_timings(config, self.timing_cache)
        _log.info("%s: plan of %d bytes, %s", graph, plan.nbytes, PlanFigures.of(heard.remarks))
        return plan

    def _config(self, builder: Any) -> Any:
        module = self.library.module
        config = builder.create_builder_config()
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, _WORKSPACE)
        config.profiling_verbosity = module.ProfilingVerbosity.DETAILED  # the plan is no larger for it
        if self.library.is_rtx:
            config.set_flag(module.BuilderFlag.REQUIRE_USER_ALLOCATION)  # else its steps cannot be captured in a graph
            config.num_compute_capabilities = len(self.capabilities)
            for index, capability in enumerate(self.capabilities):
                config.set_compute_capability(member(self.library, capability), index)
        if self.timing_cache is not None:
            load_timings(config, self.timing_cache)
        return config


def _unwritable(out: Path, reason: str) -> ExportError:
    return ExportError(f"{out} cannot be written: {reason}", "Name a file in a folder that you may write to.")
