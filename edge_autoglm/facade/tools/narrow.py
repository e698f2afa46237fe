"""A schema with short texts and lists, and how long what fits it can be: for a call that must not be cut off."""

from __future__ import annotations

import json

from edge_autoglm.facade.tools.schema import Schema

_TEXT = 24
_ITEMS = 3
_CHAR_BYTES = 4
"""Of UTF-8; an escape takes two."""
_NUMBER_BYTES = 24
"""More than the longest number within the bounds of ``schema``."""
_BRACKETS = 2
_SEPARATOR = 2


def narrowed(schema: Schema) -> Schema:
    """The schema with shorter texts and lists; whatever fits it fits the schema."""
    narrow = dict(schema)
    if "maxLength" in schema:
        narrow["maxLength"] = min(schema["maxLength"], _TEXT)
    if "maxItems" in schema:
        narrow |= {"maxItems": min(schema["maxItems"], _ITEMS), "items": narrowed(schema["items"])}
    if "anyOf" in schema:
        narrow["anyOf"] = [narrowed(one) for one in schema["anyOf"]]
    if "properties" in schema:
        narrow["properties"] = {name: narrowed(one) for name, one in schema["properties"].items()}
    return narrow


def longest(schema: Schema) -> int:
    """Bytes of the longest JSON that fits a schema: no fewer than its tokens, each of which is a byte at least."""
    if "anyOf" in schema:
        return max(longest(one) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return max(len(json.dumps(value, ensure_ascii=False).encode()) for value in values)
    kind = schema["type"]
    if kind == "string":
        return _BRACKETS + _CHAR_BYTES * int(schema["maxLength"])
    if kind == "array":
        return _BRACKETS + int(schema["maxItems"]) * (longest(schema["items"]) + _SEPARATOR)
    if kind == "object":
        return _BRACKETS + sum(
            len(json.dumps(name).encode()) + longest(one) + 2 * _SEPARATOR for name, one in schema["properties"].items()
        )
    return _NUMBER_BYTES
