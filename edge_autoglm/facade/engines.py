"""From a choice of device to an engine that runs there."""

from __future__ import annotations

from edge_autoglm.bundle.plan_folder import PlanFolder
from edge_autoglm.device.cpu import cpu_identity
from edge_autoglm.device.placement import Placement
from edge_autoglm.errors import MissingDependency
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import STANDARD, DeviceChoice
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.engines.standard.backend import Backend
from edge_autoglm.runtime.engines.standard.engine import StandardEngine


def load_engine(choice: DeviceChoice, threads: int, config: RuntimeConfig, turns: FairLock | None) -> Engine:
    """Load what was chosen.

    Args:
        choice: Of a verified bundle.
        threads: Of an engine on the CPU.
        config: Layout.
        turns: Which engines of the process take; ``None`` for one that is alone.

    Raises:
        MissingDependency: A library is not installed.
        DamagedBundle: The graph cannot be loaded.
        EngineError: The device cannot run it, or has not enough memory.
    """
    capacity = min(config.context_length, choice.bundle.manifest.model.context_length)
    if choice.entry.kind != STANDARD:
        return _load_ort(choice, threads, config.slots, capacity, turns)
    backend = _backend(choice, threads)
    try:
        return StandardEngine(
            backend, fingerprint=choice.fingerprint, slots=config.slots, capacity=capacity, turns=turns
        )
    except BaseException:
        backend.close()
        raise


def placement_of(choice: DeviceChoice) -> Placement:
    """Where an engine that was loaded runs."""
    return Placement(choice.device, _library(choice), _hardware(choice))


def _load_ort(choice: DeviceChoice, threads: int, slots: int, capacity: int, turns: FairLock | None) -> Engine:
    try:
        from edge_autoglm.runtime.engines.ort_engine import OrtEngine
        from edge_autoglm.runtime.engines.past_engine import PastEngine
    except ImportError as error:
        raise _no_onnxruntime(error) from error
    kinds: dict[str, type[OrtEngine | PastEngine]] = {"ort": OrtEngine, "ort-past": PastEngine}
    return kinds[choice.entry.kind].load(
        choice.graph,
        fingerprint=choice.fingerprint,
        context_length=choice.bundle.manifest.model.context_length,
        slots=slots,
        capacity=capacity,
        threads=threads,
        turns=turns,
    )


def _backend(choice: DeviceChoice, threads: int) -> Backend:
    if choice.plan is not None:
        from edge_autoglm.runtime.engines.tensorrt.backend import TensorRTBackend

        plan = choice.plan
        kernels = PlanFolder.of(choice.bundle.fingerprint).kernels(plan.sha256)
        return TensorRTBackend.load(plan.open(), plan.entry, kernels=kernels)
    try:
        from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend
    except ImportError as error:
        raise _no_onnxruntime(error) from error
    return OrtBackend.load(choice.graph, threads=threads, provider="cuda" if choice.device == "cuda" else "cpu")


def _no_onnxruntime(error: ImportError) -> MissingDependency:
    return MissingDependency(
        f"running a bundle needs ONNX Runtime ({error})", 'Install it: pip install "edge-autoglm[cpu]".'
    )


def _library(choice: DeviceChoice) -> str:
    if choice.plan is not None:
        return f"{choice.plan.entry.library} {choice.plan.entry.version}"
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def _hardware(choice: DeviceChoice) -> str:
    if choice.gpu is None:
        return cpu_identity()
    gpu = choice.gpu
    return f"{gpu.name}, compute capability {gpu.compute_capability or 'unknown'}, driver {choice.driver or 'unknown'}"
