"""Typed access to the metadata of a GGUF file that describe the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_autoglm.errors import NotAModel, UnsupportedModel

_CONVERT_AGAIN = "Convert the model again with a current llama.cpp."


class GGUFFields:
    """Fields ``<architecture>.<key>``; every complaint names the file and the field.

    Args:
        metadata: Of the file.
        architecture: Prefix of the keys.
        location: The file, for messages.
    """

    def __init__(self, metadata: Mapping[str, Any], architecture: str, location: str) -> None:
        self._metadata = metadata
        self._architecture = architecture
        self.location = location

    def __contains__(self, key: str) -> bool:
        """Whether the file has the field."""
        return f"{self._architecture}.{key}" in self._metadata

    def integer(self, key: str, default: int | None = None, minimum: int = 1) -> int:
        """An integer below 2^31.

        Raises:
            NotAModel: It is missing or something else.
        """
        value = self._metadata.get(f"{self._architecture}.{key}", default)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value < 1 << 31:
            raise self.wrong(key, "a positive integer" if minimum else "an integer that is not negative", value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A positive, finite number.

        Raises:
            NotAModel: It is missing or something else.
        """
        value = self._metadata.get(f"{self._architecture}.{key}", default)
        if not isinstance(value, float) or not 0 < value < float("inf"):
            raise self.wrong(key, "a positive number", value)
        # The converter rounded config.json's number to float32: the shortest decimal that rounds there is that number.
        return float(str(np.float32(value)))

    def text(self, key: str, default: str) -> str:
        """A text."""
        return str(self._metadata.get(f"{self._architecture}.{key}", default))

    def wrong(self, key: str, expected: str, value: Any) -> NotAModel:
        """An error about a field that is missing or malformed."""
        shown = value[:8].tolist() if isinstance(value, np.ndarray) else value
        problem = "is missing" if value is None else f"is {str(shown)[:40]}, not {expected}"
        return NotAModel(f"{self.location}: metadata field '{self._architecture}.{key}' {problem}", _CONVERT_AGAIN)

    def unsupported(self, key: str, problem: str, cure: str) -> UnsupportedModel:
        """An error about a field that says something which is not built."""
        return UnsupportedModel(f"{self.location}: {self._architecture}.{key} {problem}", cure)
