"""What is to stay in memory, added up and held against a budget before any of it is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import MemoryBudgetExceeded

_IN_MEMORY = {"fp32": 1.1, "fp16": 2.3, "int8": 1.2, "int4": 1.2}
_IN_MEMORY_AT_MOST = 1.6
"""Bytes in RAM for a byte of an engine's files, after ONNX Runtime 1.32 has packed the weights for this CPU's kernels
(AVX2): float16 is widened, ``w8a8`` and what ``auto`` mixes are packed beside what they were loaded from. Measured on
models of 50 and 135 million weights: 1.0, 2.2, 1.2, 1.2 and, for ``w8a8``, 1.6."""
_WIDENED = 6.5
"""Bytes in RAM for a weight of a standard graph, whatever its precision: ONNX Runtime 1.32 dequantises and widens it to
float32 when it loads the graph. Measured on SmolLM2-135M: fp32 5.5, fp16 5.5, int8 6.5, w8a8 5.8."""
_DEQUANTISED = 3.0
"""The same on a GPU, for quantised weights, which become float16 there. Reckoned, not measured."""


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """Something that stays in memory while a runtime is open.

    Attributes:
        name: For people (``KV slots, 4 x 2048 tokens``).
        size: Bytes.
        cure: What makes it smaller, as a phrase after "or" (``take fewer slots``).
        on_gpu: Whether it lies in a GPU's own memory.
    """

    name: str
    size: int
    cure: str
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """All that a runtime will hold."""

    parts: tuple[MemoryPart, ...]

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    def of(self, *, gpu: bool) -> MemoryPlan:
        """What lies in the GPU's own memory, or what does not."""
        return MemoryPlan(tuple(part for part in self.parts if part.on_gpu == gpu))


def engine_part(stored: int, precision: str) -> MemoryPart:
    """The weights of an engine, in RAM.

    Args:
        stored: Bytes of the engine's files.
        precision: As the exporter was asked for it.
    """
    size = int(stored * _IN_MEMORY.get(precision, _IN_MEMORY_AT_MOST))
    return MemoryPart(f"engine in {precision}", size, "export the model at a lower precision")


def standard_part(stored: int, precision: str, parameters: int, device: str) -> MemoryPart:
    """The weights of a standard graph, where they are run.

    Args:
        stored: Bytes of the graph's files or, for ``tensorrt``, of the plan, which is held as it is.
        precision: As the exporter was asked for it.
        parameters: Number of weights.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
    """
    size, cure = stored, "export the model at a lower precision"
    if device == "cpu":
        size, cure = int(_WIDENED * parameters), "export the model with --target ort"
    elif device == "cuda" and precision not in ("fp32", "fp16"):
        size = int(_DEQUANTISED * parameters)
    return MemoryPart(f"engine in {precision}", size, cure)


def slots_part(slots: int, tokens: int, kv_bytes_per_token: int) -> MemoryPart:
    """The KV state of an engine's slots, all of them full."""
    size = slots * tokens * kv_bytes_per_token
    cure = "take fewer slots, a shorter context or an int8 KV cache"
    return MemoryPart(f"KV slots, {slots} x {tokens} tokens", size, cure)


def cache_part(name: str, size: int) -> MemoryPart:
    """A cache that may grow to ``size`` bytes."""
    return MemoryPart(name, size, f"give the {name} fewer bytes")


def check(plan: MemoryPlan, budget: int | None, gpu: int | None = None) -> None:
    """Refuse a plan that does not fit.

    Args:
        plan: What is to be allocated.
        budget: Bytes of the machine's memory; ``None`` is no limit.
        gpu: Bytes of the GPU's own memory; likewise.

    Raises:
        MemoryBudgetExceeded: The parts in one of the two are larger together. The cause names the memory and each part,
            the cure begins with what shrinks the largest.
    """
    _check(plan.of(gpu=False), budget, "", "its memory budget is", ", or raise the memory budget.")
    _check(plan.of(gpu=True), gpu, " of GPU memory", "the GPU has", ", or run it on the CPU.")


def _check(plan: MemoryPlan, budget: int | None, where: str, has: str, last_cure: str) -> None:
    if budget is None or plan.total <= budget:
        return
    parts = sorted((part for part in plan.parts if part.size), key=lambda part: -part.size)
    named = ", ".join(f"{part.name}: {_megabytes(part.size)}" for part in parts)
    cures = dict.fromkeys(part.cure for part in parts)
    cure = ", or ".join(cures) + last_cure
    raise MemoryBudgetExceeded(
        f"the runtime would hold {_megabytes(plan.total)}{where} ({named}); {has} {_megabytes(budget)}",
        cure[0].upper() + cure[1:],
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 10_000_000 else f"{size / 1e6:.1f} MB"
