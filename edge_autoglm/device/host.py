"""Everything there is to know of the machine at hand, gathered once."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

from edge_autoglm.device.accelerators import Accelerators, detect_accelerators
from edge_autoglm.device.cpu import Cpu, detect_cpu
from edge_autoglm.device.gpu_facts import TensorRTAnswer, ask_tensorrt
from edge_autoglm.device.memory import available_memory, memory_limit, physical_memory
from edge_autoglm.device.ort_import import OrtAnswer, ask_onnxruntime
from edge_autoglm.device.packages import Installed, OrtBuild, onnxruntime_builds, our_version, requirements
from edge_autoglm.device.threads import default_threads


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the machine, in bytes; ``None`` where the system does not say.

    Attributes:
        physical: RAM.
        limit: The most that this process could have.
        available: What it can allocate now.
    """

    physical: int | None
    limit: int | None
    available: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The machine, its packages and its accelerators.

    Attributes:
        python: Version of the interpreter.
        version: Of this package; ``None`` where it is not installed.
        cpu: The processor.
        threads: Of an engine by default.
        memory: RAM and limits.
        onnxruntime: Installed builds.
        ort: What importing ONNX Runtime led to.
        requirements: What this package wants beside what is there.
        accelerators: GPUs.
        tensorrt: What importing each installed TensorRT led to.
    """

    python: str
    version: str | None
    cpu: Cpu
    threads: int
    memory: Memory
    onnxruntime: tuple[OrtBuild, ...]
    ort: OrtAnswer
    requirements: tuple[Installed, ...]
    accelerators: Accelerators
    tensorrt: tuple[TensorRTAnswer, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        facts = asdict(self)
        facts["accelerators"]["state"] = self.accelerators.state.value
        facts["requirements"] = [
            {"requires": each.requirement.text, "extra": each.requirement.extra, "installed": each.version}
            for each in self.requirements
        ]
        return facts


def gather_facts() -> HostFacts:
    """Look at everything. Takes a second: ONNX Runtime is imported in a process of its own."""
    return HostFacts(
        python="{}.{}.{}".format(*sys.version_info),
        version=our_version(),
        cpu=detect_cpu(),
        threads=default_threads(),
        memory=Memory(physical_memory(), memory_limit(), available_memory()),
        onnxruntime=tuple(onnxruntime_builds()),
        ort=ask_onnxruntime(),
        requirements=tuple(requirements()),
        accelerators=detect_accelerators(),
        tensorrt=ask_tensorrt(),
    )
