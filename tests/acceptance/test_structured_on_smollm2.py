"""The real model's answers to a JSON schema parse and validate, all of them, greedy and sampled, beside each other."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from edge_autoglm import Bundle, Completion, JsonSchema, Runtime, RuntimeConfig
from edge_autoglm.demo.snippets import load_snippets

NUMBER = {"type": "number", "minimum": 0, "maximum": 10}
SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"sentiment": {"enum": ["positive", "negative", "mixed"]}, "score": NUMBER},
        "required": ["sentiment", "score"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "topic": {"type": "string", "maxLength": 24},
            "words": {"type": "array", "items": {"type": "string", "maxLength": 10}, "minItems": 1, "maxItems": 3},
            "urgent": {"type": "boolean"},
        },
        "required": ["topic", "words", "urgent"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 99}, "minItems": 2, "maxItems": 4},
    {
        "type": "object",
        "properties": {"answer": {"anyOf": [{"type": "null"}, {"const": "yes"}, {"type": "integer"}]}},
        "required": ["answer"],
        "additionalProperties": False,
    },
]
ANSWERS = 200


@pytest.mark.timeout(900)
def test_two_hundred_answers_parse_and_validate(smollm2_int8: Bundle) -> None:
    config = RuntimeConfig(tasks=(), slots=4, context_length=512, slot_timeout=900.0)
    snippets = load_snippets(ANSWERS, seed=23)
    with Runtime.open(smollm2_int8, config=config) as rt:
        asked = []
        for number, snippet in enumerate(snippets):
            schema = SCHEMAS[number % len(SCHEMAS)]
            future = rt.submit_generate(
                [{"role": "user", "content": f"Describe this as JSON: {snippet.text}"}],
                constraint=JsonSchema(schema),
                max_new_tokens=160,
                temperature=0.9 if number % 2 else 0.0,
                seed=number,
            )
            asked.append((schema, future))
        wrong = [fault for schema, future in asked if (fault := _fault(schema, future.result()))]
    assert len(asked) == ANSWERS
    assert wrong == []


def _fault(schema: dict[str, Any], completion: Completion) -> str | None:
    if completion.finish_reason != "eos":
        return f"{completion.text!r} ended by {completion.finish_reason}"
    try:
        jsonschema.validate(json.loads(completion.text), schema)
    except (json.JSONDecodeError, jsonschema.ValidationError) as error:
        return f"{completion.text!r}: {error}"
    return None
