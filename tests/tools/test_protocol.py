"""What the model reads of tools and how what it writes is read."""

from __future__ import annotations

import json
from typing import Literal

import jsonschema
import pytest

from edge_autoglm import Tool
from edge_autoglm.errors import RequestError
from edge_autoglm.facade.tools.outcome import ToolCall
from edge_autoglm.facade.tools.protocol import (
    Written,
    check_choice,
    exchange,
    form_of,
    opening,
    read,
    short_form_of,
)


def weather(city: str, days: int = 1) -> str:
    """Forecast for a city.

    Args:
        city: Its name.
    """
    return "sunny"


def stop() -> None:
    """Stop everything."""


TOOLS = {"weather": Tool.from_function(weather), "stop": Tool.from_function(stop)}
CALL = {"name": "weather", "arguments": {"city": "Bonn"}}
STOP = {"name": "stop", "arguments": {}}
ANSWER = {"answer": "yes"}


@pytest.mark.parametrize(
    ("choice", "fits"),
    [
        ("auto", [CALL, STOP, ANSWER]),
        ("required", [CALL, STOP]),
        ("none", [ANSWER]),
        ("stop", [STOP]),
    ],
)
def test_the_choice_says_what_may_be_written(choice: str, fits: list[dict[str, object]]) -> None:
    schema = json.loads(form_of(TOOLS, choice).text)
    for written in (CALL, STOP, ANSWER, {"name": "weather", "arguments": {}}, {"name": "other", "arguments": {}}):
        assert jsonschema.Draft202012Validator(schema).is_valid(written) == (written in fits)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(RequestError, match="tool_choice is 'sometimes'"):
        check_choice("sometimes", TOOLS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(ANSWER), Written("yes")),
        (json.dumps(CALL), Written(None, "weather", {"city": "Bonn"})),
        ('{"answer": "so far', Written("so far")),
        ('{"answer": "so\\n far\\', Written("so\n far")),
        ('{"answer": "a \\"b\\\\', Written('a "b\\')),
        ('{"answer": "whole"', Written("whole")),
        ('{"answer": "', Written("")),
        ('{"answ', Written(None)),
        ('{"name": "weather", "argum', Written(None)),
        ("", Written(None)),
    ],
)
def test_what_the_model_wrote_is_read_also_where_it_was_cut_off(text: str, expected: Written) -> None:
    assert read(text) == expected


def test_the_system_message_of_the_app_stays_and_the_functions_follow() -> None:
    turns = opening(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], TOOLS, native=False
    )
    assert [turn["role"] for turn in turns] == ["system", "user"]
    text = turns[0]["content"]
    assert text.startswith("Be brief.\n\n")
    assert "- weather(city: string, days?: integer): Forecast for a city. city: Its name." in text
    assert "weather(" not in opening([{"role": "user", "content": "Hi"}], TOOLS, native=True)[0]["content"]


def test_a_call_is_told_by_roles_or_by_the_templates_own_fields() -> None:
    call = ToolCall("weather", {"city": "Bonn"}, "sunny", None, 0.1)
    plain = exchange(json.dumps(CALL), call, 0, native=False)
    assert [turn["role"] for turn in plain] == ["assistant", "user"]
    assert plain[1]["content"] == "Result of weather: sunny"
    asked, told = exchange(json.dumps(CALL), call, 3, native=True)
    assert asked["tool_calls"][0]["function"] == CALL
    assert (told["role"], told["content"]) == ("tool", "sunny")
    assert told["tool_call_id"] == asked["tool_calls"][0]["id"]
    assert len(told["tool_call_id"]) == 9


def test_an_error_is_told_as_one() -> None:
    call = ToolCall("weather", {}, None, "no result within 1 s", 1.0, timed_out=True)
    assert exchange("{}", call, 0, native=False)[1]["content"] == "Result of weather: Error: no result within 1 s"


def test_a_call_is_explained_in_a_line() -> None:
    call = ToolCall("weather", {"city": "Bonn"}, "sunny\n" * 100, None, 0.123)
    assert str(call).startswith("weather(city='Bonn') = sunny sunny")
    assert str(call).endswith("... [0.12 s]")
    assert "\n" not in str(call)


def long_call(notes: list[str], how: Literal["a", "bc"], count: int, size: float | None = None) -> None:
    """Say much."""


@pytest.mark.parametrize(
    ("cut", "names"),
    [
        ('{"name": "weather", "arguments": {"ci', ["weather"]),
        ('{"name": "wea', ["weather", "stop", "long_call"]),
        ("", ["weather", "stop", "long_call"]),
    ],
)
def test_a_call_that_was_cut_off_is_asked_for_again_in_a_short_form(cut: str, names: list[str]) -> None:
    tools = TOOLS | {"long_call": Tool.from_function(long_call)}
    form, tokens = short_form_of(tools, cut)
    schema = json.loads(form.text)
    found = [one["properties"]["name"]["const"] for one in schema.get("anyOf", [schema])]
    assert found == names
    assert tokens > 40


def test_the_short_form_has_room_for_the_longest_call_that_fits_it() -> None:
    tool = Tool.from_function(long_call)
    form, tokens = short_form_of({"long_call": tool}, "")
    arguments = {"notes": ["🙂" * 24] * 3, "how": "bc", "count": -(2**53) + 1, "size": -999_999_999_999.999_999}
    call = {"name": "long_call", "arguments": arguments}
    assert jsonschema.Draft202012Validator(json.loads(form.text)).is_valid(call)
    assert tool.decode(arguments)
    assert len(json.dumps(call, ensure_ascii=False).encode()) < tokens
    arguments["notes"] = ["x" * 25]
    assert not jsonschema.Draft202012Validator(json.loads(form.text)).is_valid(call)
