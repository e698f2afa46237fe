"""Typed access to a checkpoint's ``config.json``, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_autoglm.errors import UnsupportedModel


class ConfigReader:
    """Reads fields of one configuration; every complaint names the file and the field."""

    def __init__(self, config: Mapping[str, Any], location: str) -> None:
        self._config = config
        self.location = location

    def complaint(self, field: str, problem: str, cure: str) -> UnsupportedModel:
        """An error about one field."""
        return UnsupportedModel(f"{self.location}: config field {field!r} {problem}", cure)

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

    def texts(self, field: str, count: int) -> list[str] | None:
        """A list of ``count`` texts, ``None`` where absent."""
        value = self._config.get(field)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count or not all(isinstance(item, str) for item in value):
            raise self.complaint(
                field, f"is {str(value)[:80]}", f"It must be a list of {count} texts; fix config.json."
            )
        return value

    def numbers(self, field: str, count: int) -> list[float]:
        """A list of ``count`` positive, finite numbers."""
        value = self._config.get(field)
        if (
            not isinstance(value, list)
            or len(value) != count
            or not all(isinstance(item, int | float) and 0 < item < float("inf") for item in value)
        ):
            problem = f"is {str(value)[:80]}"
            raise self.complaint(field, problem, f"It must be a list of {count} positive numbers; fix config.json.")
        return [float(item) for item in value]

    def section(self, field: str) -> ConfigReader:
        """A dictionary within the configuration; empty where absent."""
        value = self._config.get(field)
        if value is not None and not isinstance(value, Mapping):
            raise self.complaint(field, f"is {str(value)[:80]}", "It must be a dictionary; fix config.json.")
        return ConfigReader(value or {}, f"{self.location}: {field}")

    def __contains__(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self._config.get(field) is not None

    def require(self, field: str, allowed: tuple[Any, ...], cure: str) -> None:
        """The field is absent or one of the values that the builder knows."""
        value = self._config.get(field)
        if value is not None and value not in allowed:
            raise self.complaint(field, f"is {value!r}, which this family file does not build", cure)
