"""The grammar engine takes each token for the bytes that the stream writes."""

from __future__ import annotations

import json
import unicodedata

import pytest

from edge_autoglm.constraints import Choice, JsonSchema, Regex
from edge_autoglm.runtime.decoding.grammar import GrammarCompiler
from edge_autoglm.runtime.decoding.grammar_tokens import GrammarTokens
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import tiny_tokenizer_json
from tests.runtime.decoding.grammar_cases import answer, random_model, text_of

EOS = frozenset({2})
WORDS = ["good", " good film", "the  good", " a", "a\nb", "\n", " "]
TEXTS = [*WORDS, "中🙂é", '{"a": 1}', "<|im_end|>", "x</s>", "e\u0301\x00"]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_of_a_text_spell_it_without_special_ones(any_tokenizer: Tokenizer, text: str) -> None:
    tokens = GrammarTokens(any_tokenizer, any_tokenizer.vocab_size, EOS)
    ids = tokens(text)
    assert b"".join(any_tokenizer.token_bytes(token) for token in ids) == text.encode()
    assert any_tokenizer.special_ids.isdisjoint(ids)


def test_byte_level_tokens_are_those_of_the_tokenizer(byte_level: Tokenizer) -> None:
    tokens = GrammarTokens(byte_level, byte_level.vocab_size, EOS)
    assert tokens(" a positive film") == byte_level.encode(" a positive film")


def test_the_text_of_a_special_token_does_not_spoil_the_tokens_around_it(byte_level: Tokenizer) -> None:
    ids = GrammarTokens(byte_level, byte_level.vocab_size, EOS)(" good<|im_end|> film")
    assert byte_level.token_bytes(ids[0]) == b" good"
    assert byte_level.token_bytes(ids[-1]) == b" film"


def test_sentencepiece_puts_no_space_in_the_midst_of_a_text(byte_fallback: Tokenizer) -> None:
    tokens = GrammarTokens(byte_fallback, byte_fallback.vocab_size, EOS)
    assert [byte_fallback.token_bytes(token) for token in tokens("the goo")] == [b"t", b"he", b" goo"]
    assert [byte_fallback.token_bytes(token) for token in tokens(" the goo")] == [b" the", b" goo"]


def test_a_text_that_the_normalizer_alters_is_spelled_as_it_is() -> None:
    content = json.loads(tiny_tokenizer_json())
    content["normalizer"] = {"type": "NFC"}
    tokenizer = Tokenizer(json.dumps(content))
    decomposed = unicodedata.normalize("NFD", "né né")
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, EOS)
    tokens = answer(compiler.compile(Choice([decomposed])).matcher(), random_model(tokenizer, 0), EOS, jump=True)
    assert text_of(tokenizer, tokens) == decomposed


def test_a_text_beyond_the_rows_of_the_engine_is_spelled_within_them(byte_level: Tokenizer) -> None:
    rows = byte_level.token_id("positive")
    ids = GrammarTokens(byte_level, rows, EOS)("positive")
    assert max(ids) < rows
    assert b"".join(map(byte_level.token_bytes, ids)) == b"positive"


def test_an_end_token_that_is_ordinary_text_for_the_tokenizer_never_stands_in_an_answer(byte_level: Tokenizer) -> None:
    end = byte_level.token_id("a")
    matcher = GrammarCompiler(byte_level, byte_level.vocab_size, {end}).compile(Regex("[ab]+")).matcher()
    assert not matcher.mask()[end]
    matcher.advance(byte_level.token_id("b"))
    assert matcher.mask()[end]
    matcher.advance(end)
    assert matcher.finished


def test_each_of_several_end_tokens_may_end(byte_level: Tokenizer) -> None:
    ends = {0, 2}
    matcher = GrammarCompiler(byte_level, byte_level.vocab_size, ends).compile(JsonSchema({"const": 1})).matcher()
    assert not matcher.mask()[sorted(ends)].any()
    matcher.advance(byte_level.token_id("1"))
    assert matcher.mask()[sorted(ends)].all()
    assert all(map(matcher.allows, ends))
