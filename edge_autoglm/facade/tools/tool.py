"""A local function with a typed signature, as the model sees it and as it is called."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from edge_autoglm.errors import ToolError
from edge_autoglm.facade.tools.schema import Parameter, Schema, decode_object, object_schema

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ARGS = re.compile(r"^\s*(Args|Arguments|Parameters):\s*$", re.MULTILINE)
_ARG_LINE = re.compile(r"^(?P<name>\w+)(\s*\([^)]*\))?:\s*(?P<text>.*)$")


@dataclass(frozen=True)
class Tool:
    """What the model may call; made by ``from_function``.

    Attributes:
        name: By which the model calls it.
        description: Tells the model when to call it, and for what.
        function: The code; called with keyword arguments, in a thread of its own.
        parameters: By name, in the order of the signature.
        timeout: Seconds that it may take; ``None`` takes those of the request.
    """

    name: str
    description: str
    function: Callable[..., object]
    parameters: Mapping[str, Parameter]
    timeout: float | None = None

    @classmethod
    def from_function(
        cls,
        function: Callable[..., object],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float | None = None,
    ) -> Tool:
        """A tool from a plain function: its name, the first paragraph of its docstring, and its type hints.

        Parameters are ``str``, ``int``, ``float``, ``bool``, ``Literal``, ``list`` of these, ``Optional``, and
        dataclasses of them; what stands under ``Args:`` in the docstring, or in ``Annotated[..., "..."]``, describes
        them. Those with a default may be left out by the model.

        Args:
            function: Neither asynchronous nor with ``*args``; may be a bound method.
            name: Its own by default.
            description: From its docstring by default.
            timeout: See the class.

        Raises:
            ToolError: It has no usable name or description, or a parameter without a type that JSON can hold; names
                function and parameter.

        Example:
            >>> def weather(city: str, days: int = 1) -> str:
            ...     '''Weather forecast for a city.'''
            ...     return "sunny"
            >>> Tool.from_function(weather).name
            'weather'
        """
        called = name or str(getattr(function, "__name__", type(function).__name__))
        if not _NAME.fullmatch(called):
            raise ToolError(f"{called!r} cannot name a tool", "Give it a name of letters, digits and _.")
        if inspect.iscoroutinefunction(function):
            raise ToolError(f"the tool {called} is asynchronous", "Give a plain function that waits for the result.")
        text, described = _docstring(function)
        if not (description or text):
            raise ToolError(f"the tool {called} has no docstring", "Say in one what it does, for the model.")
        if timeout is not None and not timeout > 0:
            raise ToolError(f"the timeout of the tool {called} is {timeout}", "Give seconds above 0.")
        tool = cls(called, description or text, function, _parameters(function, called, described), timeout)
        _ = tool.schema  # what cannot be put as JSON is told here
        return tool

    @cached_property
    def schema(self) -> Schema:
        """JSON schema of the arguments."""
        return object_schema(self.parameters, self.name)

    @property
    def signature(self) -> str:
        """For the model: ``weather(city: string, days?: integer)``."""
        shown = [
            f"{name}{'' if parameter.required else '?'}: {_type_name(self.schema['properties'][name])}"
            for name, parameter in self.parameters.items()
        ]
        return f"{self.name}({', '.join(shown)})"

    def call(self, arguments: object) -> object:
        """Call the function with JSON arguments.

        Raises:
            ArgumentError: They do not fit the signature.
            Exception: Whatever the function, or a dataclass among its parameters, raises.
        """
        return self.function(**self.decode(arguments))

    def decode(self, arguments: object) -> dict[str, Any]:
        """JSON arguments as the function takes them.

        Raises:
            ArgumentError: They do not fit the signature.
        """
        return decode_object(self.parameters, arguments, self.name)


def _parameters(function: Callable[..., object], name: str, described: Mapping[str, str]) -> dict[str, Parameter]:
    hints = _hints(function, name)
    parameters = {}
    for each in inspect.signature(function).parameters.values():
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise ToolError(f"the parameter {each} of the tool {name} has no name to call it by", "Give it one.")
        if each.name not in hints:
            raise ToolError(f"the parameter {each.name} of the tool {name} has no type", "Add a type hint.")
        hint = hints[each.name]
        required = each.default is inspect.Parameter.empty
        parameters[each.name] = Parameter(hint, required, described.get(each.name, ""))
    return parameters


def _hints(function: Callable[..., object], name: str) -> dict[str, Any]:
    plain = function if inspect.isroutine(function) else type(function).__call__
    try:
        return get_type_hints(plain, include_extras=True)
    except (NameError, TypeError) as error:
        raise ToolError(f"the type hints of the tool {name} cannot be read: {error}", "Correct them.") from error


def _docstring(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """The first paragraph, and what its ``Args:`` section says of each parameter."""
    text = inspect.getdoc(function) or ""
    first = " ".join(text.split("\n\n", 1)[0].split())
    section = _ARGS.search(text)
    described: dict[str, str] = {}
    for line in text[section.end() :].split("\n\n", 1)[0].splitlines() if section else ():
        if found := _ARG_LINE.match(line.strip()):
            described[found["name"]] = found["text"].strip()
    return ("" if _ARGS.match(first) else first), described


def _type_name(schema: Schema) -> str:
    if "enum" in schema:
        return "|".join(map(repr, schema["enum"]))
    if "anyOf" in schema:
        return "|".join(map(_type_name, schema["anyOf"]))
    if schema["type"] == "array":
        return f"list of {_type_name(schema['items'])}"
    if schema["type"] == "object":
        inner = ", ".join(f"{name}: {_type_name(one)}" for name, one in schema["properties"].items())
        return f"{{{inner}}}"
    return str(schema["type"])
