"""TensorRT, or TensorRT-RTX where that is what is installed: one API under two names."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_autoglm.errors import MissingDependency

LIBRARIES = ("tensorrt", "tensorrt_rtx")
"""In order of preference: the first also opens plans of GPUs that the second does not know (sm 87, 90)."""
_NATIVE = (10, 15)


@dataclass(frozen=True, slots=True)
class TensorRT:
    """An imported library.

    Attributes:
        module: ``tensorrt`` or ``tensorrt_rtx``.
        name: Which of the two.
        version: Of the library.
    """

    module: Any
    name: str
    version: str

    @property
    def is_rtx(self) -> bool:
        """Whether it is TensorRT-RTX, which builds plans without a GPU."""
        return self.name == "tensorrt_rtx"

    @property
    def has_native_layers(self) -> bool:
        """Whether it has the layers that the native lowering of the standard graph is made of."""
        return self.is_rtx or tuple(int(part) for part in self.version.split(".")[:2]) >= _NATIVE


def load_tensorrt(name: str | None = None, load: Callable[[str], Any] = importlib.import_module) -> TensorRT:
    """Import the library.

    Args:
        name: One of `LIBRARIES`; the first that is installed by default.
        load: Imports a module by name.

    Raises:
        MissingDependency: It is not installed, or its shared libraries are not.
    """
    reasons = []
    for each in LIBRARIES if name is None else (name,):
        try:
            module = load(each)
        except (ImportError, OSError) as error:  # its wheels hold the bindings only: libraries come beside them
            reasons.append(f"{each}: {error}")
            continue
        return TensorRT(module, each, str(module.__version__))
    raise MissingDependency(
        f"TensorRT is not there ({'; '.join(reasons)})",
        'Install TensorRT-RTX: pip install "edge-autoglm[tensorrt]"; or, for sm 87 and 90, TensorRT from its vendor.',
    )


def platform_name() -> str:
    """Operating system and processor, as plans name them: ``linux-x86_64``."""
    machine = platform.machine().lower()
    return f"{sys.platform}-{'x86_64' if machine == 'amd64' else machine}"
