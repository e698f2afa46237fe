"""Functions become tools: name, description, JSON schema, and arguments back from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Optional

import jsonschema
import pytest

from edge_autoglm import Tool
from edge_autoglm.errors import ToolError
from edge_autoglm.facade.tools.schema import ArgumentError


@dataclass
class Place:
    city: str
    country: str = "Germany"
    tags: list[str] = field(default_factory=list)


def book(
    place: Place,
    nights: int,
    price: float = 80.0,
    room: Literal["single", "double"] = "single",
    notes: Annotated[list[str], "what else to know"] = [],  # noqa: B006 - never changed
    smoking: bool = False,
    until: Optional[int] = None,  # noqa: UP045 - the old spelling works too
    child: Place | None = None,
) -> str:
    """Book a room
    for some nights.

    More about it.

    Args:
        place: Where.
        nights (int): How many.

    Returns:
        A number.
    """
    return f"{place} {nights}"


def test_a_tool_is_what_name_docstring_and_hints_say() -> None:
    tool = Tool.from_function(book)
    assert (tool.name, tool.description) == ("book", "Book a room for some nights.")
    schema = tool.schema
    assert schema["required"] == ["place", "nights"]
    assert list(schema["properties"]) == [
        "place", "nights", "price", "room", "notes", "smoking", "until", "child",
    ]  # fmt: skip
    assert schema["properties"]["place"]["description"] == "Where."
    assert schema["properties"]["place"]["required"] == ["city"]
    assert schema["properties"]["nights"]["description"] == "How many."
    assert schema["properties"]["room"] == {"enum": ["single", "double"]}
    assert schema["properties"]["notes"]["description"] == "what else to know"
    assert [one["type"] for one in schema["properties"]["until"]["anyOf"]] == ["integer", "null"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert tool.signature.startswith("book(place: {city: string, country: string, tags: list of string}, nights: ")


def test_arguments_are_decoded_as_the_hints_say() -> None:
    tool = Tool.from_function(book)
    given = {
        "place": {"city": "Bonn", "tags": ["a"]}, "nights": 2, "price": 3, "room": "double", "notes": ["x"],
        "smoking": True, "until": None, "child": {"city": "Ulm", "country": "D"},
    }  # fmt: skip
    jsonschema.validate(given, tool.schema)
    decoded = tool.decode(given)
    assert decoded["place"] == Place("Bonn", tags=["a"])
    assert decoded["child"] == Place("Ulm", "D")
    assert decoded["price"] == 3.0
    assert isinstance(decoded["price"], float)
    assert decoded["until"] is None
    assert tool.function(**decoded) == "Place(city='Bonn', country='Germany', tags=['a']) 2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nights": "2"}, r"book\.nights is '2', not int"),
        ({"nights": True}, r"book\.nights is True, not int"),
        ({"nights": 2.0}, r"book\.nights is 2\.0, not int"),
        ({"price": float("nan")}, r"book\.price is nan, not float"),
        ({"price": True}, r"book\.price is True, not float"),
        ({"room": "suite"}, r"book\.room is 'suite', not one of 'single', 'double'"),
        ({"smoking": 1}, r"book\.smoking is 1, not bool"),
        ({"notes": "x"}, r"book\.notes is 'x', not a list"),
        ({"notes": [1]}, r"book\.notes\[0\] is 1, not str"),
        ({"place": {}}, r"book\.place lacks 'city'"),
        ({"place": "Bonn"}, r"book\.place is 'Bonn', not an object"),
        ({"guests": 2}, r"book has no 'guests'; it has place, nights"),
        ({"until": "x"}, r"book\.until is 'x', not int; or book\.until is 'x', not null"),
    ],
)
def test_what_does_not_fit_the_signature_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Tool.from_function(book).decode({"place": {"city": "Bonn"}, "nights": 1} | change)


def test_an_integer_stays_one_where_both_are_taken() -> None:
    def double(value: float | int) -> str:
        """Double a number."""
        return repr(value)

    decoded = Tool.from_function(double).decode({"value": 2})
    assert (decoded["value"], type(decoded["value"])) == (2, int)


def test_bound_methods_and_callable_objects_are_tools() -> None:
    class Shop:
        def stock(self, item: str) -> int:
            """How many there are."""
            return len(item)

        def __call__(self, item: str) -> int:
            """Sell one."""
            return 1

    assert Tool.from_function(Shop().stock).schema["required"] == ["item"]
    assert Tool.from_function(Shop(), name="sell", description="Sell one.").schema["required"] == ["item"]


def no_types(city) -> str:  # type: ignore[no-untyped-def]
    """A."""
    return ""


def no_docstring(city: str) -> str:
    return ""


def a_set(cities: set[str]) -> str:
    """A."""
    return ""


def a_mapping(cities: dict[str, int]) -> str:
    """A."""
    return ""


def anything(value: Any) -> str:
    """A."""
    return ""


def a_bare_list(value: list) -> str:  # type: ignore[type-arg]
    """A."""
    return ""


def bytes_of_a_literal(value: Literal[b"x"]) -> str:
    """A."""
    return ""


def many(*cities: str) -> str:
    """A."""
    return ""


def positional(city: str, /) -> str:
    """A."""
    return ""


def unknown_name(city: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
    """A."""
    return ""


async def later(city: str) -> str:
    """A."""
    return ""


@dataclass
class Chain:
    """One that holds itself."""

    next: Chain | None


def a_chain(chain: Chain) -> str:
    """A."""
    return ""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (no_types, "parameter city of the tool no_types has no type"),
        (no_docstring, "no_docstring has no docstring"),
        (a_set, r"a_set\.cities is of type set"),
        (a_mapping, r"a_mapping\.cities is of type dict"),
        (anything, r"anything\.value is of type Any"),
        (a_bare_list, r"a_bare_list\.value is of type list"),
        (bytes_of_a_literal, r"bytes_of_a_literal\.value is a Literal"),
        (many, r"parameter \*cities: .* of the tool many has no name"),
        (positional, "parameter city: .* of the tool positional has no name"),
        (unknown_name, "type hints of the tool unknown_name cannot be read"),
        (later, "later is asynchronous"),
        (a_chain, r"nested in more than 5 others"),
        (lambda: "", "'<lambda>' cannot name a tool"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(function: Callable[..., object], said: str) -> None:
    with pytest.raises(ToolError, match=said) as raised:
        Tool.from_function(function)
    assert raised.value.cure


def test_a_schema_is_json() -> None:
    assert json.loads(json.dumps(Tool.from_function(book).schema)) == Tool.from_function(book).schema
