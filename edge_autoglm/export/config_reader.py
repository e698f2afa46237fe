"""Typed access to a checkpoint's ``config.json``, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_autoglm.errors import UnsupportedModel

_LARGEST_INTEGER = 2**31 - 1
_LARGEST_NUMBER = 1e30
_SHOWN = 80


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

    def states(self, field: str) -> bool:
        """Whether the field is there, be it as null."""
        return field in self._config

    def flag(self, field: str, default: bool = False) -> bool:
        """True or false."""
        value = self._value(field, default)
        if not isinstance(value, bool):
            raise self._wrong(field, value, "true or false")
        return value

    def integer(
        self, field: str, default: int | None = None, *, lowest: int = 1, highest: int = _LARGEST_INTEGER
    ) -> int:
        """An integer between bounds, both of which may be reached."""
        value = self._value(field, default)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            wanted = "a positive integer" if lowest == 1 else f"an integer from {lowest}"
            raise self._wrong(field, value, f"{wanted}, at most {highest}")
        return value

    def number(
        self, field: str, default: float | None = None, *, above: float = 0.0, below: float = _LARGEST_NUMBER
    ) -> float:
        """A number between bounds, none of which may be reached."""
        value = self._value(field, default)
        if not _is_number(value, above, below):
            raise self._wrong(field, value, f"a number above {above:g} and below {below:g}")
        return float(value)

    def texts(self, field: str, count: int) -> list[str] | None:
        """A list of ``count`` texts, ``None`` where absent."""
        value = self._config.get(field)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count or not all(isinstance(item, str) for item in value):
            raise self._wrong(field, value, f"a list of {count} texts")
        return value

    def numbers(self, field: str, count: int) -> list[float]:
        """A list of ``count`` positive numbers."""
        value = self._config.get(field)
        if (
            not isinstance(value, list)
            or len(value) != count
            or not all(_is_number(item, 0.0, _LARGEST_NUMBER) for item in value)
        ):
            raise self._wrong(field, value, f"a list of {count} positive numbers")
        return [float(item) for item in value]

    def section(self, field: str) -> ConfigReader:
        """A dictionary within the configuration; empty where absent."""
        value = self._config.get(field)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(field, value, "a dictionary")
        return ConfigReader(value or {}, f"{self.location}: {field}")

    def __contains__(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self._config.get(field) is not None

    def require(self, field: str, allowed: tuple[Any, ...], cure: str) -> None:
        """The field is absent or one of the values that the builder knows."""
        value = self._config.get(field)
        if value is not None and value not in allowed:
            raise self.complaint(field, f"is {_shown(value)}, which this family file does not build", cure)

    def _value(self, field: str, default: object) -> Any:
        value = self._config.get(field)
        return default if value is None else value

    def _wrong(self, field: str, value: object, wanted: str) -> UnsupportedModel:
        return self.complaint(field, f"is {_shown(value)}", f"It must be {wanted}; fix config.json.")


def _is_number(value: object, above: float, below: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and above < value < below


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
