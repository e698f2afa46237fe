"""Typed access to a checkpoint's ``config.json``, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_autoglm.errors import UnsupportedModel


class ConfigReader:
    """Reads fields of one configuration; every complaint names the file and the field."""

    def __init__(self, config: Mapping[str, Any], location: str) -> None:
        self._config = config
        self._location = location

    def complaint(self, field: str, problem: str, cure: str) -> UnsupportedModel:
        """An error about one field."""
        return UnsupportedModel(f"{self._location}: config field {field!r} {problem}", cure)

    def get(self, field: str) -> Any:
        """The raw value, ``None`` where absent."""
        return self._config.get(field)

    def integer(self, field: str, default: int | None = None) -> int:
        """A positive integer."""
        value = self._config.get(field, default)
        if value is None and default is not None:
            value = default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.complaint(field, f"is {value!r}", "It must be a positive integer; fix config.json.")
        return value

    def number(self, field: str, default: float | None = None) -> float:
        """A positive, finite number."""
        value = self._config.get(field, default)
        if value is None and default is not None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.complaint(field, f"is {value!r}", "It must be a positive number; fix config.json.")
        return float(value)

    def require(self, field: str, allowed: tuple[Any, ...], cure: str) -> None:
        """The field is absent or one of the values that the builder knows."""
        value = self._config.get(field)
        if value is not None and value not in allowed:
            raise self.complaint(field, f"is {value!r}, which this family file does not build", cure)
