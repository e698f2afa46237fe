"""The data types of ggml, decoded by the package ``gguf``."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import MissingDependency
from edge_autoglm.export.sources.stored_types import StoredType


def stored_type(ggml_type: int) -> StoredType | None:
    """How values of a ggml type lie in a file; ``None`` for one that is unknown or that nothing decodes.

    Raises:
        MissingDependency: The package ``gguf`` is not installed.
    """
    gguf = _import_gguf()
    try:
        kind = gguf.GGMLQuantizationType(ggml_type)
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        gguf.quants.dequantize(np.zeros((1, block_bytes), dtype=np.uint8), kind)
    except (ValueError, KeyError, NotImplementedError):
        return None

    def decode(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        # As one row: of many, gguf would decode 16 at a time, which is slow for short ones.
        values: npt.NDArray[np.float32] = gguf.quants.dequantize(raw.reshape(1, -1), kind).reshape(-1)
        return values

    return StoredType(block, block_bytes, decode)


def type_name(ggml_type: int) -> str:
    """Name of a ggml type, for messages; its number where it has none."""
    try:
        return str(_import_gguf().GGMLQuantizationType(ggml_type).name)
    except ValueError:
        return str(ggml_type)


def _import_gguf() -> ModuleType:
    try:
        import gguf
        import gguf.quants
    except ImportError as error:
        raise MissingDependency(
            "reading GGUF files needs the package 'gguf'", 'Install it: pip install "edge-autoglm[export]".'
        ) from error
    return gguf
