from __future__ import annotations

from dataclasses import replace

import pytest

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.accelerators import Gpu
from edge_autoglm.device.tensorrt_import import TensorRT, platform_name
from edge_autoglm.runtime.engines.tensorrt.fit import why_not

ENTRY = PlanEntry("plans/a.plan", "tensorrt_rtx", "1.7.1", ("8.6", "8.9"), platform_name(), 4, 128, 32)
LIBRARY = TensorRT(None, "tensorrt_rtx", "1.7.1")
GPU = Gpu("NVIDIA RTX 4090", 24 << 30, "8.9")


def test_a_plan_that_fits() -> None:
    assert why_not(ENTRY, LIBRARY, GPU) is None


@pytest.mark.parametrize(
    ("entry", "library", "gpu", "reason"),
    [
        (ENTRY, None, GPU, "tensorrt_rtx is not installed"),
        (
            ENTRY,
            replace(LIBRARY, version="1.8"),
            GPU,
            "it was built by tensorrt_rtx 1.7.1, here is tensorrt_rtx 1.8",
        ),
        (ENTRY, replace(LIBRARY, name="tensorrt"), GPU, "it was built by tensorrt_rtx 1.7.1, here is tensorrt 1.7.1"),
        (
            replace(ENTRY, platform="win32-x86_64"),
            LIBRARY,
            GPU,
            f"it was built for win32-x86_64, this is {platform_name()}",
        ),
        (ENTRY, LIBRARY, None, "there is no NVIDIA GPU that this process can use"),
        (
            ENTRY,
            LIBRARY,
            Gpu("NVIDIA H100", None, "9.0"),
            "it was built for compute capability 8.6 and 8.9, NVIDIA H100 has 9.0",
        ),
        (
            ENTRY,
            LIBRARY,
            Gpu("a board", None, None),
            "it was built for compute capability 8.6 and 8.9, a board has an unknown one",
        ),
    ],
)
def test_what_stands_against_it(entry: PlanEntry, library: TensorRT | None, gpu: Gpu | None, reason: str) -> None:
    assert why_not(entry, library, gpu) == reason
