"""Structured output over the vocabulary of a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest

from edge_autoglm.constraints import JsonSchema
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.runtime.decoding.grammar import GrammarCompiler
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.runtime.decoding.grammar_cases import EXTRA_ROWS, SCHEMAS, answer, random_model, text_of

EOS = frozenset({2})
ANSWERS = 200
LONG = 300


@pytest.fixture(scope="module")
def tokenizer(smollm2_gguf: Path) -> Iterator[Tokenizer]:
    with closing(open_checkpoint(str(smollm2_gguf))) as checkpoint:
        yield Tokenizer(checkpoint.tokenizer().tokenizer_json)


def test_every_answer_parses_and_validates_and_jumping_changes_none(tokenizer: Tokenizer) -> None:
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size + EXTRA_ROWS, EOS)
    schemas = list(SCHEMAS.values())
    for seed in range(ANSWERS):
        schema = schemas[seed % len(schemas)]
        grammar, model = compiler.compile(JsonSchema(schema)), random_model(tokenizer, seed)
        jumped = answer(grammar.matcher(), model, EOS, jump=True, limit=LONG)
        assert len(jumped) < LONG
        jsonschema.validate(json.loads(text_of(tokenizer, jumped)), schema)
        if seed < len(schemas):
            assert answer(grammar.matcher(), model, EOS, jump=False, limit=LONG) == jumped


def test_the_punctuation_of_a_schema_needs_no_model(tokenizer: Tokenizer) -> None:
    schema = {"type": "object", "properties": {"user_name": {"type": "boolean"}}, "required": ["user_name"]}
    matcher = GrammarCompiler(tokenizer, tokenizer.vocab_size, EOS).compile(JsonSchema(schema)).matcher()
    assert matcher.forced() == tokenizer.encode('{"user_name":')
