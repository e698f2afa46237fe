"""What an export can be asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.errors import ExportError
from edge_autoglm.export.standard.lowering import LOWERINGS, LoweringName

PRECISIONS = ("fp32", "fp16", "int8", "w8a8", "int4", "auto")
TARGETS = ("ort", "tensorrt")
KV_TYPES = ("fp32", "fp16", "int8")
ROUTES = ("auto", "own", "optimum")
CALIBRATED = ("w8a8", "int4", "auto")
"""Precisions that read the calibration text."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Choices of one export, checked.

    Attributes:
        precision: One of `PRECISIONS`.
        target: One of `TARGETS`.
        kv: Of the KV cache, one of `KV_TYPES`; ``None`` for the target's own.
        via: Who builds the graph, one of `ROUTES`.
        adapter: Folder of a LoRA adapter to merge.
        max_kl: Takes the place of the precision's budget.
        proof: Whether the engine is compared with the original.
        force: Whether an engine beyond its budget is shipped, and a bundle at the same place replaced.
        capacity: For target ``tensorrt``: tokens that a slot can hold; ``None`` for the default.
        slots: Likewise, rows that decode in one step of the plan; ``None`` for the default.
        compute_capabilities: Likewise, of the GPUs that the plan is compiled for; none for the default.
        plan: Likewise, whether a plan is compiled.
        lowering: Likewise, of the graph, one of `LOWERINGS`; ``None`` for native.

    Raises:
        ExportError: A value is not known or out of range, or is not there for the target.
    """

    precision: str = "int8"
    target: str = "ort"
    kv: str | None = None
    via: str = "auto"
    adapter: Path | None = None
    max_kl: float | None = None
    proof: bool = True
    force: bool = False
    capacity: int | None = None
    slots: int | None = None
    compute_capabilities: tuple[str, ...] = ()
    plan: bool = True
    lowering: LoweringName | None = None

    def __post_init__(self) -> None:
        known = {
            "precision": PRECISIONS,
            "target": TARGETS,
            "kv": (None, *KV_TYPES),
            "via": ROUTES,
            "lowering": (None, *LOWERINGS),
        }
        for name, values in known.items():
            if (value := getattr(self, name)) not in values:
                words = ", ".join(each for each in values if each is not None)
                raise ExportError(f"{name} {value!r} is not known", f"Use one of: {words}.")
        if self.via == "optimum" and self.adapter is not None:
            raise ExportError("an adapter cannot be merged on the way through Optimum", "Merge it with peft first.")
        if self.max_kl is not None and not 0 <= self.max_kl < math.inf:
            raise ExportError(f"max_kl is {self.max_kl}", "Give a finite number of nats a token, 0 or more.")
        if self.target == "tensorrt":
            self._check_tensorrt()
        else:
            self._check_ort()

    @property
    def kv_type(self) -> str:
        """Of the KV cache. TensorRT's attention has it in the type of its products."""
        if self.target == "tensorrt":
            return "fp32" if self.precision == "fp32" else "fp16"
        return self.kv or "fp32"

    @property
    def compiles(self) -> bool:
        """Whether the bundle gets a plan."""
        return self.target == "tensorrt" and self.plan

    @property
    def compares_with_itself(self) -> bool:
        """Whether the engine is the original: then there is nothing else to compare it with."""
        return self.target == "ort" and self.precision == "fp32" and self.kv_type == "fp32"

    def _check_ort(self) -> None:
        given = {
            "capacity": self.capacity is not None,
            "slots": self.slots is not None,
            "compute_capabilities": bool(self.compute_capabilities),
            "plan=False (--no-plan)": not self.plan,
            "lowering": self.lowering is not None,
        }
        for name, is_given in given.items():
            if is_given:
                raise ExportError(f"{name} is for the target tensorrt", "Leave it out, or choose that target.")

    def _check_tensorrt(self) -> None:
        self._refuse_what_is_not_there()
        for name in ("capacity", "slots"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ExportError(f"{name} is {value}", "Give 1 or more.")
        if not self.plan and (self.slots is not None or self.compute_capabilities):
            raise ExportError(
                "slots and compute capabilities are a plan's, and none is to be compiled",
                "Give them to `edge-autoglm rebuild` on the device.",
            )

    def _refuse_what_is_not_there(self) -> None:
        if self.precision == "auto":
            raise ExportError(
                "precision 'auto' is not there for the target tensorrt: it times kernels of ONNX Runtime here",
                "Use int8, w8a8 or int4.",
            )
        if self.precision == "fp32" and self.plan and self.lowering != "decomposed":
            raise ExportError(
                "there is no plan in fp32: TensorRT's attention has no kernels for it",
                "Use fp16; or export the graph alone, without a plan (--no-plan).",
            )
        if self.kv not in (None, self.kv_type):
            raise ExportError(
                f"kv {self.kv!r} is not there for the target tensorrt, whose cache is {self.kv_type}", "Leave it out."
            )
        if self.via == "optimum":
            raise ExportError("Optimum writes no graph for TensorRT", "Leave out via, or choose the target ort.")
