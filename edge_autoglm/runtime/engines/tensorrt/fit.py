"""Whether a plan runs here."""

from __future__ import annotations

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.accelerators import Gpu
from edge_autoglm.device.tensorrt_import import TensorRT, platform_name


def why_not(entry: PlanEntry, library: TensorRT | None, gpu: Gpu | None) -> str | None:
    """What stands against opening a plan; ``None`` where nothing does.

    Args:
        entry: Of the plan.
        library: That is installed here.
        gpu: To run it on.
    """
    if library is None:
        return f"{entry.library} is not installed"
    if (library.name, library.version) != (entry.library, entry.version):
        return f"it was built by {entry.library} {entry.version}, here is {library.name} {library.version}"
    if entry.platform != platform_name():
        return f"it was built for {entry.platform}, this is {platform_name()}"
    if gpu is None:
        return "there is no NVIDIA GPU that this process can use"
    if gpu.compute_capability not in entry.compute_capabilities:
        built = " and ".join(entry.compute_capabilities)
        return (
            f"it was built for compute capability {built}, {gpu.name} has {gpu.compute_capability or 'an unknown one'}"
        )
    return None
