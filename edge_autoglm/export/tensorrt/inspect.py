"""What can be known of a plan where it is built: the network that it comes from, and what TensorRT remarks.

A plan opens only on a GPU that it is for; without one there is no engine to inspect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_FIGURE = re.compile(r"(Max Scratch|Total Weights) Memory: (\d+) bytes")


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """Sizes in bytes, as far as TensorRT told them.

    Attributes:
        weights: That the plan holds; ``None`` where TensorRT did not say.
        scratch: Memory that a step needs beside weights and cache, a figure a profile.
    """

    weights: int | None
    scratch: tuple[int, ...]

    @classmethod
    def of(cls, remarks: Iterable[str]) -> PlanFigures:
        """Out of what was said during one build."""
        weights, scratch = None, []
        for match in filter(None, map(_FIGURE.match, remarks)):
            if match[1] == "Max Scratch":
                scratch.append(int(match[2]))
            else:
                weights = int(match[2])
        return cls(weights, tuple(scratch))


def cache_updates(network: Any) -> dict[str, str]:
    """Names of the tensors that KVCacheUpdate layers make, each with the one at whose address it lives."""
    layers = (network.get_layer(index) for index in range(network.num_layers))
    updates = (layer for layer in layers if layer.type.name == "KV_CACHE_UPDATE")
    return {layer.get_output(0).name: layer.get_input(0).name for layer in updates}
