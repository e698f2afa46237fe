"""On which device a bundle can run here, and what is missing for the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.manifest import EngineEntry
from edge_autoglm.device.accelerators import Gpu, GpuState, why_no_gpu
from edge_autoglm.device.gpu_facts import GpuFacts, gpu_facts
from edge_autoglm.errors import DamagedPlan, DeviceUnavailable, MissingDependency
from edge_autoglm.facade.plans import KnownPlan, plans_of
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.runtime.engines.tensorrt.fit import why_not

AUTO = "auto"
_ORDERS = {AUTO: ("tensorrt", "cuda", "cpu"), "cpu": ("cpu",), "cuda": ("cuda",), "tensorrt": ("tensorrt",)}
DEVICES = tuple(_ORDERS)
"""What `Runtime.open` can be asked for."""
STANDARD = "standard"
_CPU_KINDS = ("ort", "ort-past", STANDARD)
"""In order of preference: the standard graph is made for GPUs, and slow on a CPU."""
_INSTALL_CUDA = 'python -m pip install "edge-autoglm[cuda]"'


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """One way to run a bundle.

    Attributes:
        bundle: Whose engine it is.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        entry: The engine.
        gpu: That it runs on; ``None`` for the CPU.
        driver: Of that GPU, if known.
        plan: For ``tensorrt``.
    """

    bundle: Bundle
    device: str
    entry: EngineEntry
    gpu: Gpu | None = None
    driver: str | None = None
    plan: KnownPlan | None = None

    @property
    def fingerprint(self) -> str:
        """Of the engine where it runs: the KV of one place is of no use in another.

        The graphs for ONNX Runtime's CPU run in one place only, and go by the bundle's.
        """
        if self.entry.kind != STANDARD:
            return self.bundle.fingerprint
        plan = "" if self.plan is None else f"-{self.plan.sha256[:8]}"
        return f"{self.bundle.fingerprint}-{self.device}{plan}"

    @property
    def graph(self) -> Path:
        """Of the engine, whether or not it is the graph that runs."""
        return self.bundle.path(self.entry.graph)

    @property
    def sizes(self) -> StepSizes | None:
        """Shapes in which the standard graph runs; ``None`` for another graph."""
        if self.plan is not None:
            return StepSizes(self.plan.entry.rows, self.plan.entry.page, self.plan.entry.head_rows)
        return StepSizes() if self.entry.kind == STANDARD else None


def order_of(device: str) -> tuple[str, ...]:
    """What to try for a device that was asked for, the best first.

    Raises:
        DeviceUnavailable: There is no such device.
    """
    if device not in _ORDERS:
        raise DeviceUnavailable(f"device {device!r} is not known", f"Use one of: {', '.join(DEVICES)}.")
    return _ORDERS[device]


def choose(bundle: Bundle, device: str, facts: Callable[[], GpuFacts] = gpu_facts) -> DeviceChoice:
    """How a bundle runs on a device.

    Args:
        bundle: Its files need not be checked yet.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        facts: Of this machine; called where they matter only.

    Raises:
        DeviceUnavailable: It does not run there; the cause says what is missing, and the cure how to come by it.
        BundleError: It has no engine of a kind that is known.
    """
    return {"cpu": _cpu, "cuda": _cuda, "tensorrt": _tensorrt}[device](bundle, facts)


def cpu_engine(bundle: Bundle) -> EngineEntry:
    """The engine that runs on the CPU.

    Raises:
        BundleError: There is none.
    """
    present = [entry.kind for entry in bundle.manifest.engines]
    return bundle.engine(next((kind for kind in _CPU_KINDS if kind in present), _CPU_KINDS[0]))


def _cpu(bundle: Bundle, _: Callable[[], GpuFacts]) -> DeviceChoice:
    return DeviceChoice(bundle, "cpu", cpu_engine(bundle))


def _cuda(bundle: Bundle, facts: Callable[[], GpuFacts]) -> DeviceChoice:
    entry = _standard(bundle, "the graph for the CPU computes in float32, for which CUDA attention has no kernel")
    found = facts()
    gpu = _gpu(found)
    builds = [f"{build.name} {build.version}" for build in found.onnxruntime]
    if len(builds) > 1:
        names = " ".join(build.name for build in found.onnxruntime)
        raise DeviceUnavailable(
            f"{' and '.join(builds)} are installed together and have overwritten each other's files, so that only the "
            "CPU is left",
            f"Keep one: python -m pip uninstall -y {names} && {_INSTALL_CUDA}",
        )
    if not found.has_cuda_provider:
        if not builds:
            raise DeviceUnavailable(
                "ONNX Runtime with its CUDA provider is not installed", f"Install it: {_INSTALL_CUDA}"
            )
        raise DeviceUnavailable(
            f"{builds[0]} has no CUDA provider",
            f"Take the other build: python -m pip uninstall -y {found.onnxruntime[0].name} && {_INSTALL_CUDA}",
        )
    return DeviceChoice(bundle, "cuda", entry, gpu, found.accelerators.driver)


def _tensorrt(bundle: Bundle, facts: Callable[[], GpuFacts]) -> DeviceChoice:
    entry = _standard(bundle, "TensorRT does not know the operators of the graph for the CPU")
    found = facts()
    gpu = _gpu(found)
    reasons = []
    for plan in plans_of(bundle, entry):
        if isinstance(plan, DamagedPlan):
            reasons.append(plan.cause)
            continue
        reason = _why_not(plan, found, gpu)
        if reason is None:
            return DeviceChoice(bundle, "tensorrt", entry, gpu, found.accelerators.driver, plan)
        reasons.append(f"{plan.name}: {reason}")
    raise DeviceUnavailable(
        f"no TensorRT plan of {bundle.root} fits this device: {'; '.join(reasons) or 'it has none'}",
        f"Build one here: edge-autoglm rebuild {bundle.root}",
    )


def _standard(bundle: Bundle, why: str) -> EngineEntry:
    for entry in bundle.manifest.engines:
        if entry.kind == STANDARD:
            return entry
    raise DeviceUnavailable(
        f"the bundle {bundle.root} has no engine for a GPU ({why})", "Export the model with --target tensorrt."
    )


def _gpu(facts: GpuFacts) -> Gpu:
    if facts.accelerators.state is not GpuState.READY:
        raise DeviceUnavailable(*why_no_gpu(facts.accelerators))
    return facts.accelerators.gpus[0]


def _why_not(plan: KnownPlan, facts: GpuFacts, gpu: Gpu) -> str | None:
    try:
        library = facts.load_tensorrt(plan.entry.library)
    except MissingDependency as error:
        return error.cause
    return why_not(plan.entry, library, gpu)
