"""Type hints as JSON schemas, and JSON values as what the hints say."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from edge_autoglm.errors import ToolError

MAX_TEXT = 200
"""Characters of a text, so that a small model cannot write one for ever."""
MAX_ITEMS = 16
_MAX_INTEGER = 2**53 - 1
"""What every JSON parser reads exactly (RFC 8259, section 6)."""
_MAX_NUMBER, _STEP = 1e12, 1e-6
"""Numbers have at most so many digits; without a step, a model may go on behind the point for ever."""
_MAX_DEPTH = 5
_NONE = type(None)
_KNOWN = "Use str, int, float, bool, Literal, list[...], Optional[...] or a dataclass of these."

Schema = dict[str, Any]
Hints = dict[str, Any]


class ArgumentError(ValueError):
    """A value that does not fit its hint; said to the model, never raised to the app."""


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool, or one field of a dataclass.

    Attributes:
        hint: Its type.
        required: Whether it has no default.
        description: For the model.
    """

    hint: Any
    required: bool
    description: str = ""


def object_schema(parameters: Mapping[str, Parameter], where: str, depth: int = 0) -> Schema:
    """The JSON schema of an object with these properties, in their order, and no others.

    Raises:
        ToolError: A type cannot be put as JSON; names it.
    """
    properties = {}
    for name, parameter in parameters.items():
        properties[name] = hint_schema(parameter.hint, f"{where}.{name}", depth)
        if parameter.description:
            properties[name]["description"] = parameter.description
    required = [name for name, parameter in parameters.items() if parameter.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def hint_schema(hint: Any, where: str, depth: int = 0) -> Schema:
    """The JSON schema of a type.

    Args:
        hint: The type.
        where: What it is of, for messages.
        depth: Lists and dataclasses around it.

    Raises:
        ToolError: It cannot be put as JSON.
    """
    if depth > _MAX_DEPTH:
        raise ToolError(f"the type of {where} is nested in more than {_MAX_DEPTH} others", "Make it flatter.")
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(arguments, where, depth)
    if origin is Literal:
        return _literal(arguments, where)
    if origin is list:
        return {
            "type": "array",
            "items": hint_schema(arguments[0], f"an item of {where}", depth + 1),
            "maxItems": MAX_ITEMS,
        }
    if origin in (Union, types.UnionType):
        return {"anyOf": [hint_schema(one, where, depth) for one in arguments]}
    if dataclasses.is_dataclass(hint):
        return object_schema(fields_of(hint), where, depth + 1)
    raise ToolError(f"{where} is of type {_name(hint)}, which a model cannot write as JSON", _KNOWN)


_PLAIN: Mapping[Any, Schema] = types.MappingProxyType(
    {
        str: {"type": "string", "maxLength": MAX_TEXT},
        int: {"type": "integer", "minimum": -_MAX_INTEGER, "maximum": _MAX_INTEGER},
        float: {"type": "number", "minimum": -_MAX_NUMBER, "maximum": _MAX_NUMBER, "multipleOf": _STEP},
        bool: {"type": "boolean"},
        _NONE: {"type": "null"},
    }
)


def _annotated(arguments: tuple[Any, ...], where: str, depth: int) -> Schema:
    texts = [one for one in arguments[1:] if isinstance(one, str)]
    schema = hint_schema(arguments[0], where, depth)
    return schema | {"description": texts[0]} if texts else schema


def _literal(values: tuple[Any, ...], where: str) -> Schema:
    if not all(type(value) in (str, int, bool, _NONE) for value in values):
        raise ToolError(f"{where} is a Literal of {values}, not of plain values", "Use texts, integers or booleans.")
    return {"enum": list(values)}


def fields_of(kind: Any) -> dict[str, Parameter]:
    """The fields that a dataclass is made from."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: Parameter(hints[field.name], _has_no_default(field))
        for field in dataclasses.fields(kind)
        if field.init
    }


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def decode_object(parameters: Mapping[str, Parameter], value: object, where: str) -> dict[str, Any]:
    """The properties of a JSON object as their hints say; those that are left out stay so.

    Raises:
        ArgumentError: One is missing, unknown, or of another type.
    """
    if not isinstance(value, dict):
        raise ArgumentError(f"{where} is {_shown(value)}, not an object")
    for name in value:
        if name not in parameters:
            raise ArgumentError(f"{where} has no {str(name)[:40]!r}; it has {', '.join(parameters) or 'nothing'}")
    for name, parameter in parameters.items():
        if parameter.required and name not in value:
            raise ArgumentError(f"{where} lacks {name!r}")
    return {name: decode(parameters[name].hint, given, f"{where}.{name}") for name, given in value.items()}


def decode(hint: Any, value: object, where: str) -> Any:
    """A JSON value as a hint says, strictly: no text becomes a number.

    Raises:
        ArgumentError: It is of another type, or not one of the values to choose from.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return decode(arguments[0], value, where)
    if origin is Literal:
        return _one_of(arguments, value, where)
    if origin is list:
        if not isinstance(value, list):
            raise ArgumentError(f"{where} is {_shown(value)}, not a list")
        return [decode(arguments[0], item, f"{where}[{place}]") for place, item in enumerate(value)]
    if origin in (Union, types.UnionType):
        return _any_of(arguments, value, where)
    if dataclasses.is_dataclass(hint):
        made: Callable[..., Any] = hint  # type: ignore[assignment]  # of a class, not of an instance
        return made(**decode_object(fields_of(hint), value, where))
    return _plain(hint, value, where)


def _plain(hint: Any, value: object, where: str) -> Any:
    if hint is float and type(value) in (int, float) and math.isfinite(value):  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    if type(value) is not hint or hint is float:
        raise ArgumentError(f"{where} is {_shown(value)}, not {_name(hint)}")
    return value


def _one_of(options: tuple[Any, ...], value: object, where: str) -> Any:
    for option in options:
        if type(option) is type(value) and option == value:  # True is 1
            return option
    raise ArgumentError(f"{where} is {_shown(value)}, not one of {', '.join(map(repr, options))}")


def _any_of(hints: tuple[Any, ...], value: object, where: str) -> Any:
    """As the first hint that fits exactly; an integer is a float only where nothing else takes it."""
    faults = []
    for hint in sorted(hints, key=lambda one: one is float):
        try:
            return decode(hint, value, where)
        except ArgumentError as fault:
            faults.append(str(fault))
    raise ArgumentError("; or ".join(faults))


def _shown(value: object) -> str:
    return repr(value)[:60]


def _name(hint: Any) -> str:
    return "null" if hint is _NONE else str(getattr(hint, "__name__", hint))
