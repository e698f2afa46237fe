"""What the model reads of tools, and the JSON that it writes: a call, or the answer.

A model whose chat template knows tools sees them, its calls and their results the way it was trained to. For any other
the functions stand in the system message, and a result is what the user says next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_autoglm.constraints import JsonSchema
from edge_autoglm.errors import RequestError
from edge_autoglm.facade.tools.narrow import longest, narrowed
from edge_autoglm.facade.tools.outcome import ToolCall
from edge_autoglm.facade.tools.tool import Tool

_ANSWER = "answer"
_NAMED = re.compile(r'\{"name": "(?P<name>[^"]+)"')
_CUT_ANSWER = f'{{"{_ANSWER}": "'
_RULE = (
    'Reply with JSON only. To call a function, write {"name": "FUNCTION", "arguments": {...}}. '
    'When you know the answer, write {"answer": "..."}.'
)

Turn = dict[str, Any]
"""A message: role, content, and what a template with tools reads besides."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote in one round.

    Attributes:
        answer: The answer; ``None`` for a call.
        name: Of the tool called; empty if that was cut off.
        arguments: Of the call; ``None`` if they were cut off.
    """

    answer: str | None
    name: str = ""
    arguments: dict[str, Any] | None = None


def check_choice(choice: str, tools: Mapping[str, Tool]) -> None:
    """Refuse a ``tool_choice`` that means nothing.

    Raises:
        RequestError: It is neither ``auto``, ``required``, ``none`` nor a tool's name.
    """
    if choice not in ("auto", "required", "none") and choice not in tools:
        raise RequestError(f"tool_choice is {choice!r}", f"Give auto, required, none, or one of {', '.join(tools)}.")


def form_of(tools: Mapping[str, Tool], choice: str) -> JsonSchema:
    """What the model may write: a call of one of the tools, the answer, or either."""
    named = [tools[choice]] if choice in tools else list(tools.values())
    calls = [] if choice == "none" else [_call_schema(tool) for tool in named]
    answers = [_closed({_ANSWER: {"type": "string"}})] if choice in ("auto", "none") else []
    forms = [*calls, *answers]
    return JsonSchema(forms[0] if len(forms) == 1 else {"anyOf": forms})


def short_form_of(tools: Mapping[str, Tool], cut: str) -> tuple[JsonSchema, int]:
    """What the model may write after a call of it was cut off: the same call with short texts and lists.

    Args:
        tools: By name.
        cut: What it had written.

    Returns:
        The form, and how many tokens are enough for whatever fits it.
    """
    named = _NAMED.match(cut)
    called = tools.get(named["name"]) if named else None
    forms = [narrowed(_call_schema(tool)) for tool in ([called] if called else tools.values())]
    form = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return JsonSchema(form), longest(form) + 1  # and one that ends it


def _call_schema(tool: Tool) -> dict[str, Any]:
    return _closed({"name": {"const": tool.name}, "arguments": tool.schema})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read(text: str) -> Written:
    """What a text in the form asked for says, also where it was cut off."""
    try:
        content = json.loads(text)
    except ValueError:
        return Written(_beginning_of_answer(text)) if text.startswith(_CUT_ANSWER) else Written(None)
    if _ANSWER in content:
        return Written(content[_ANSWER])
    return Written(None, content["name"], content["arguments"])


def _beginning_of_answer(text: str) -> str:
    body = text[len(_CUT_ANSWER) :]
    if (len(body) - len(body.rstrip("\\"))) % 2:  # cut in the midst of an escape
        body = body[:-1]
    try:
        return str(json.loads(f'"{body}"'))
    except ValueError:  # behind the closing quotes
        return str(json.JSONDecoder().raw_decode(f'"{body}')[0])


def opening(messages: Sequence[Mapping[str, Any]], tools: Mapping[str, Tool], *, native: bool) -> list[Turn]:
    """The conversation with what the model must know of the tools, in its system message."""
    system = [dict(message) for message in messages[:1] if message.get("role") == "system"]
    functions = "" if native else f"You can call these functions:\n{_functions(tools)}\n"
    own = f"{system[0]['content']}\n\n" if system else ""
    rest = [dict(message) for message in messages[len(system) :]]
    return [{"role": "system", "content": f"{own}{functions}{_RULE}"}, *rest]


def _functions(tools: Mapping[str, Tool]) -> str:
    return "\n".join(
        f"- {tool.signature}: {' '.join([tool.description, *_described(tool)])}" for tool in tools.values()
    )


def _described(tool: Tool) -> list[str]:
    properties = tool.schema["properties"].items()
    return [f"{name}: {one['description']}" for name, one in properties if "description" in one]


def definitions(tools: Mapping[str, Tool]) -> list[dict[str, Any]]:
    """The tools as chat templates take them."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
        }
        for tool in tools.values()
    ]


def exchange(text: str, call: ToolCall, number: int, *, native: bool) -> list[Turn]:
    """A call and its result, as the conversation goes on.

    Args:
        text: What the model wrote.
        call: What came of it.
        number: Of the call, from 0.
        native: Whether the chat template knows tools.
    """
    result = call.result if call.error is None else f"Error: {call.error}"
    if not native:
        told = f"Result of {call.name}: {result}"
        return [{"role": "assistant", "content": text}, {"role": "user", "content": told}]
    identity = f"call{number:05d}"  # nine characters, which is what Mistral's templates ask for
    function = {"name": call.name, "arguments": call.arguments}
    called = {"id": identity, "type": "function", "function": function}
    return [
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "name": call.name, "tool_call_id": identity, "content": result},
    ]
