"""Constraints and random models that the tests of structured output share."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from edge_autoglm.constraints import Choice, Constraint, JsonSchema, Regex
from edge_autoglm.runtime.decoding.grammar import Matcher
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.text.detokenize import StreamDecoder
from edge_autoglm.runtime.text.tokenizer import Tokenizer

EXTRA_ROWS = 7
"""Rows of the engine's logits that the tokenizer has no token for."""

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "mood": {"enum": ["good", "bad", None, 3]},
    },
    "required": ["name", "age", "mood"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, dict[str, object]] = {
    "object": PERSON,
    "enum": {"enum": ["positive", "negative", 0, 1.5, None, True, {"text": ["é"]}, "<|im_end|></s>"]},
    "array": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
    "tuple": {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": "x"}], "minItems": 2, "items": False},
    "nested": {
        "type": "object",
        "properties": {"people": {"type": "array", "items": PERSON, "maxItems": 2}, "of": PERSON},
        "required": ["of", "people"],
        "additionalProperties": False,
    },
    "number": {"type": "number", "minimum": -2.5, "exclusiveMaximum": 17},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 5000},
    "string": {"type": "string", "minLength": 3, "maxLength": 5},
    "pattern": {"type": "string", "pattern": "^[a-c]{2}-[0-9]{1,3}$"},
    "optional": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}, "c": {"type": "string", "maxLength": 3}},
        "additionalProperties": False,
    },
    "further": {
        "type": "object",
        "properties": {"a": {"type": "integer", "maximum": 99, "minimum": 0}},
        "additionalProperties": {"type": "string", "maxLength": 2},
        "required": ["a", "also"],
    },
    "anyOf": {"anyOf": [{"type": "integer", "minimum": 5, "maximum": 9}, {"type": "string", "maxLength": 2}, PERSON]},
    "recursive": {
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {"value": {"type": "boolean"}, "left": {"$ref": "#/$defs/tree"}},
                "required": ["value"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/tree",
    },
    "date": {"type": "string", "format": "date"},
}
PATTERNS = [
    r"[0-9]{3}-[a-f]+",
    r"(yes|no)( [A-Za-z]{1,5})?[.!]",
    r"[^a-z ]{2,6}",
    r"a/b\\c\"d",
    r" ?(é|中)+x",
    r".{1,8}",
]
OPTIONS = ("good", "good film", "bad", " bad", "中🙂", "中🙃", "a\nb", "\x01", '"\\/', "<|im_end|>", "</s>")
CONSTRAINTS: dict[str, Constraint] = {
    **{name: JsonSchema(schema) for name, schema in SCHEMAS.items()},
    **{pattern: Regex(pattern) for pattern in PATTERNS},
    "choice": Choice(OPTIONS),
}

Model = Callable[[list[int]], Logits]


def random_model(tokenizer: Tokenizer, seed: int) -> Model:
    """A stand-in for a language model: logits that depend on the seed and on all tokens before.

    Closing characters are likelier than others, so that texts end.
    """
    closing = _closing(tokenizer)

    def logits(tokens: list[int]) -> Logits:
        rng = np.random.default_rng([seed, *tokens])
        return np.float32(2.0) * rng.standard_normal(closing.size, np.float32) + closing

    return logits


@functools.cache
def _closing(tokenizer: Tokenizer) -> Logits:
    pieces = map(tokenizer.token_bytes, range(tokenizer.vocab_size + EXTRA_ROWS))
    return np.array([0.0 if piece.strip(b' ,"}]') else 4.0 for piece in pieces], np.float32)


def answer(
    matcher: Matcher, model: Model, eos: frozenset[int], *, jump: bool, seed: int | None = None, limit: int = 400
) -> list[int]:
    """Tokens of an answer, greedy or sampled, without an end-of-sequence token."""
    tokens: list[int] = []
    while not matcher.finished and len(tokens) < limit:
        if jump and (forced := matcher.forced()):
            taken = forced[: limit - len(tokens)]
        else:
            taken = [_pick(matcher.allow(model(tokens)), seed, len(tokens))]
        for token in taken:
            matcher.advance(token)
        if taken[-1] in eos:
            break
        tokens += taken
    return tokens


def _pick(logits: Logits, seed: int | None, position: int) -> int:
    """Greedy without a seed; with one, by the Gumbel-max trick with noise of the position's own."""
    if seed is None:
        return int(logits.argmax())
    noise = np.random.default_rng([seed, position]).gumbel(size=len(logits))
    return int((logits + noise).argmax())


def text_of(tokenizer: Tokenizer, tokens: list[int]) -> str:
    """What a stream would write."""
    decoder = StreamDecoder(tokenizer)
    return "".join(map(decoder.push, tokens)) + decoder.finish()
