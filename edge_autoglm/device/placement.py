"""Where an engine runs."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.device.budget import MemoryPart


@dataclass(frozen=True, slots=True)
class Placement:
    """The device of an engine, what runs it there, and what it takes.

    Attributes:
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        library: With its version (``onnxruntime 1.32.0``).
        hardware: Model and features of the processor, or name and driver of the GPU. Where library and hardware are
            the same, one engine gives the same bits.
        memory: Its weights, KV slots and KV cache.
        passed_over: Devices that were tried before this one, each with what stood in the way.
    """

    device: str
    library: str
    hardware: str
    memory: tuple[MemoryPart, ...] = ()
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.device}: {self.library} on {self.hardware}"


IN_PYTHON = Placement("cpu", "edge-autoglm", "Python")
"""Of an engine that no library runs, such as the scripted one."""
