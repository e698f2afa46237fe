"""Constraints are checked where they are made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_autoglm.constraints import Choice, JsonSchema, Regex
from edge_autoglm.errors import RequestError


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ([], "no options"),
        ("yes", "'yes'"),
        (None, "None"),
        (["yes", ""], "empty"),
        (["yes", "no", "yes"], "twice"),
        (["yes", 1], "1"),
        (["\ud800"], "surrogate"),
    ],
)
def test_a_choice_without_sense_is_refused(options: Any, cause: str) -> None:
    with pytest.raises(RequestError, match=cause):
        Choice(options)


@pytest.mark.parametrize(("pattern", "cause"), [("", "empty"), (7, "7"), ("a\ud800", "surrogate")])
def test_a_pattern_without_sense_is_refused(pattern: Any, cause: str) -> None:
    with pytest.raises(RequestError, match=cause):
        Regex(pattern)


@pytest.mark.parametrize(
    ("schema", "cause"),
    [
        ("{", "no JSON"),
        ("[1]", r"\[1\], not an object"),
        (True, "true, not an object"),
        ({"const": {1, 2}}, "set"),
        ({"minimum": float("nan")}, "not JSON compliant"),
        ('{"minimum": Infinity}', "not JSON compliant"),
        ({"title": "\ud800"}, "surrogate"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_schema_that_is_no_json_object_is_refused(schema: Any, cause: str) -> None:
    with pytest.raises(RequestError, match=cause):
        JsonSchema(schema)


def test_a_schema_is_the_same_as_an_object_and_as_text() -> None:
    schema = {"type": "object", "properties": {"é": {}, "a": {"enum": [1, None]}}}
    assert JsonSchema(schema) == JsonSchema(json.dumps(schema, indent=2))
    assert len({JsonSchema(schema), JsonSchema(json.dumps(schema))}) == 1


def test_the_order_of_properties_matters() -> None:
    assert JsonSchema({"properties": {"a": {}, "b": {}}}) != JsonSchema({"properties": {"b": {}, "a": {}}})


def test_a_schema_changed_afterwards_does_not_change_the_constraint() -> None:
    schema = {"enum": [1]}
    constraint = JsonSchema(schema)
    schema["enum"].append(2)
    assert constraint == JsonSchema({"enum": [1]})


def test_options_keep_their_order() -> None:
    assert Choice(["b", "a"]).options == ("b", "a")
