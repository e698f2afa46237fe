"""What an export can be asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.errors import ExportError

PRECISIONS = ("fp32", "fp16", "int8", "w8a8", "int4", "auto")
TARGETS = ("ort",)
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
        kv: Of the KV cache, one of `KV_TYPES`.
        via: Who builds the graph, one of `ROUTES`.
        adapter: Folder of a LoRA adapter to merge.
        max_kl: Takes the place of the precision's budget.
        proof: Whether the engine is compared with the original.
        force: Whether an engine beyond its budget is shipped, and a bundle at the same place replaced.

    Raises:
        ExportError: A value is not known or out of range.
    """

    precision: str = "int8"
    target: str = "ort"
    kv: str = "fp32"
    via: str = "auto"
    adapter: Path | None = None
    max_kl: float | None = None
    proof: bool = True
    force: bool = False

    def __post_init__(self) -> None:
        known = {"precision": PRECISIONS, "target": TARGETS, "kv": KV_TYPES, "via": ROUTES}
        for name, values in known.items():
            if (value := getattr(self, name)) not in values:
                raise ExportError(f"{name} {value!r} is not known", f"Use one of: {', '.join(values)}.")
        if self.via == "optimum" and self.adapter is not None:
            raise ExportError("an adapter cannot be merged on the way through Optimum", "Merge it with peft first.")
        if self.max_kl is not None and not 0 <= self.max_kl < math.inf:
            raise ExportError(f"max_kl is {self.max_kl}", "Give a finite number of nats a token, 0 or more.")

    @property
    def compares_with_itself(self) -> bool:
        """Whether the engine is the original: then there is nothing else to compare it with."""
        return self.precision == "fp32" and self.kv == "fp32"
