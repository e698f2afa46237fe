"""Whatever the model answers, the text has the form asked for."""

from __future__ import annotations

import json
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import numpy as np
import pytest

from edge_autoglm.constraints import Choice, Constraint, JsonSchema, Regex
from edge_autoglm.errors import EngineError, MissingDependency, RequestError
from edge_autoglm.runtime.decoding.grammar import GrammarCompiler, Matcher
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.runtime.decoding.grammar_cases import (
    CONSTRAINTS,
    EXTRA_ROWS,
    OPTIONS,
    PATTERNS,
    PERSON,
    SCHEMAS,
    answer,
    random_model,
    text_of,
)

EOS = frozenset({2})
SEEDS_A_SCHEMA = 15
LONG = 400


@pytest.fixture(scope="module")
def byte_level_compiler(byte_level: Tokenizer) -> GrammarCompiler:
    return compiler_of(byte_level)


@pytest.fixture(scope="module")
def byte_fallback_compiler(byte_fallback: Tokenizer) -> GrammarCompiler:
    return compiler_of(byte_fallback)


@pytest.fixture
def any_compiler(any_tokenizer: Tokenizer, request: pytest.FixtureRequest) -> GrammarCompiler:
    compiler: GrammarCompiler = request.getfixturevalue(f"{request.node.callspec.params['any_tokenizer']}_compiler")
    return compiler


def compiler_of(tokenizer: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, tokenizer.vocab_size + EXTRA_ROWS, EOS)


def matcher_behind(compiler: GrammarCompiler, tokenizer: Tokenizer, constraint: Constraint, text: str) -> Matcher:
    """A matcher that has a text behind it, written byte by byte where the grammar does not force the tokens."""
    matcher = compiler.compile(constraint).matcher()
    left = text.encode()
    while left:
        fitting = [
            t for t in np.flatnonzero(matcher.mask()) if left.startswith(tokenizer.token_bytes(int(t)) or b"\xff")
        ]
        token = min(fitting, key=lambda t: len(tokenizer.token_bytes(int(t))))
        matcher.advance(int(token))
        left = left[len(tokenizer.token_bytes(int(token))) :]
    return matcher


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_json_answer_parses_and_validates(
    any_tokenizer: Tokenizer, any_compiler: GrammarCompiler, name: str
) -> None:
    grammar = any_compiler.compile(JsonSchema(SCHEMAS[name]))
    ended = 0
    for seed in range(SEEDS_A_SCHEMA):
        tokens = answer(grammar.matcher(), random_model(any_tokenizer, seed), EOS, jump=True, limit=LONG)
        if len(tokens) < LONG:
            jsonschema.validate(json.loads(text_of(any_tokenizer, tokens)), SCHEMAS[name])
            ended += 1
    assert ended >= SEEDS_A_SCHEMA - 2


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_answer_matches_the_whole_regex(
    any_tokenizer: Tokenizer, any_compiler: GrammarCompiler, pattern: str
) -> None:
    grammar = any_compiler.compile(Regex(pattern))
    for seed in range(10):
        text = text_of(any_tokenizer, answer(grammar.matcher(), random_model(any_tokenizer, seed), EOS, jump=True))
        assert re.fullmatch(pattern, text), text


def test_the_answer_is_one_of_the_options(any_tokenizer: Tokenizer, any_compiler: GrammarCompiler) -> None:
    grammar = any_compiler.compile(Choice(OPTIONS))
    models = [random_model(any_tokenizer, seed) for seed in range(50)]
    answers = {text_of(any_tokenizer, answer(grammar.matcher(), model, EOS, jump=True)) for model in models}
    assert answers <= set(OPTIONS)
    assert len(answers) > 3


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_can_be_the_answer(any_tokenizer: Tokenizer, any_compiler: GrammarCompiler, option: str) -> None:
    space = " " if any_tokenizer.vocabulary.strips_space else ""
    assert matcher_behind(any_compiler, any_tokenizer, Choice(OPTIONS), space + option).allows(2)


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("seed", [None, 5])
def test_jumping_gives_the_tokens_that_sampling_gives(
    any_tokenizer: Tokenizer, any_compiler: GrammarCompiler, name: str, seed: int | None
) -> None:
    grammar = any_compiler.compile(CONSTRAINTS[name])
    for model_seed in range(3):
        model = random_model(any_tokenizer, model_seed)
        stepwise, jumped = (
            answer(grammar.matcher(), model, EOS, jump=jump, seed=seed, limit=150) for jump in (False, True)
        )
        assert stepwise == jumped


def test_forced_tokens_are_those_of_the_tokenizer(byte_level: Tokenizer, byte_level_compiler: GrammarCompiler) -> None:
    schema = JsonSchema(
        {"type": "object", "properties": {"great movie": {"const": "a positive text"}}, "required": ["great movie"]}
    )
    forced = byte_level_compiler.compile(schema).matcher().forced()
    text = '{"great movie": "a positive text"'
    assert forced == byte_level.encode(text)
    assert len(forced) < len(text) / 1.5


def test_forced_text_that_spells_a_special_token_is_plain_text(
    any_tokenizer: Tokenizer, any_compiler: GrammarCompiler
) -> None:
    special = "<|im_end|>" if any_tokenizer.vocab_size == 320 else "</s>"
    matcher = any_compiler.compile(JsonSchema({"const": f"a {special} b"})).matcher()
    tokens = answer(matcher, random_model(any_tokenizer, 0), EOS, jump=True)
    assert any_tokenizer.special_ids.isdisjoint(tokens)
    assert text_of(any_tokenizer, tokens) == f'"a {special} b"'


def test_special_tokens_and_rows_without_a_token_are_never_allowed(
    any_tokenizer: Tokenizer, any_compiler: GrammarCompiler
) -> None:
    matcher = any_compiler.compile(Regex("(?s).*")).matcher()
    if any_tokenizer.vocabulary.strips_space:  # the space that comes first, and is not part of the text
        matcher.advance(any_tokenizer.token_id("▁"))
    mask = matcher.mask()
    size = any_tokenizer.vocab_size
    assert mask.shape == (size + EXTRA_ROWS,)
    assert not mask[size:].any()
    assert not mask[sorted(any_tokenizer.special_ids - EOS)].any()
    assert mask[sorted(EOS)].all()
    assert mask[[t for t in range(size) if any_tokenizer.token_bytes(t) == b"a"]].all()


def test_the_end_is_allowed_where_the_grammar_may_end_only(
    byte_level: Tokenizer, byte_level_compiler: GrammarCompiler
) -> None:
    for text, may_end in [("", False), ("g", False), ("goo", False), ("good", True), ("good ", False)]:
        matcher = matcher_behind(byte_level_compiler, byte_level, Choice(["good", "good film", "gone"]), text)
        assert matcher.mask()[2] == may_end
        assert matcher.allows(2) == may_end


def test_a_complete_answer_is_finished(byte_level: Tokenizer, byte_level_compiler: GrammarCompiler) -> None:
    constraint = Choice(["good", "good film"])
    assert not matcher_behind(byte_level_compiler, byte_level, constraint, "good").finished
    whole = matcher_behind(byte_level_compiler, byte_level, constraint, "good film")
    assert whole.finished
    assert whole.forced() == []
    assert np.flatnonzero(whole.mask()).tolist() == [2]


def test_the_end_token_finishes_the_answer(byte_level: Tokenizer, byte_level_compiler: GrammarCompiler) -> None:
    matcher = matcher_behind(byte_level_compiler, byte_level, Regex("a+"), "aa")
    matcher.advance(2)
    assert matcher.finished


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_token_is_allowed_if_its_bit_in_the_mask_is_set(
    any_tokenizer: Tokenizer, any_compiler: GrammarCompiler, name: str
) -> None:
    matcher = any_compiler.compile(CONSTRAINTS[name]).matcher()
    model = random_model(any_tokenizer, 1)
    tokens: list[int] = []
    while not matcher.finished and len(tokens) < 25:
        mask = matcher.mask()
        assert [matcher.allows(token) for token in range(len(mask))] == mask.tolist()
        tokens.append(int(matcher.allow(model(tokens)).argmax()))
        matcher.advance(tokens[-1])
    assert tokens


def test_allowed_logits_are_kept_and_others_masked(byte_level: Tokenizer, byte_level_compiler: GrammarCompiler) -> None:
    matcher = byte_level_compiler.compile(Regex("[a-d]+")).matcher()
    logits = random_model(byte_level, 3)([])
    before = logits.copy()
    allowed = matcher.allow(logits)
    mask = matcher.mask()
    assert allowed.dtype == np.float32
    assert np.array_equal(logits, before)
    assert np.array_equal(allowed[mask], logits[mask])
    assert np.isneginf(allowed[~mask]).all()


def test_a_token_that_does_not_fit_is_refused(byte_level: Tokenizer, byte_level_compiler: GrammarCompiler) -> None:
    matcher = byte_level_compiler.compile(Regex("[ab]+c")).matcher()
    with pytest.raises(EngineError, match="does not fit"):
        matcher.advance(byte_level.token_id("c"))
    matcher.advance(byte_level.token_id("a"))
    assert matcher.allows(byte_level.token_id("c"))


def test_matchers_of_one_grammar_are_independent(byte_level: Tokenizer, byte_level_compiler: GrammarCompiler) -> None:
    first = matcher_behind(byte_level_compiler, byte_level, Regex("[ab]c"), "a")
    second = byte_level_compiler.compile(Regex("[ab]c")).matcher()
    assert not first.allows(byte_level.token_id("a"))
    assert second.allows(byte_level.token_id("a"))


def test_where_no_token_can_follow_the_cause_is_named(byte_level: Tokenizer) -> None:
    rows = byte_level.token_id("a") + 1  # the engine has no logits for "b"
    matcher = GrammarCompiler(byte_level, rows, EOS).compile(Regex("[A-Z](a|b)b")).matcher()
    matcher.advance(byte_level.token_id("A"))
    matcher.advance(byte_level.token_id("a"))
    with pytest.raises(EngineError, match="no token of the model may come next"):
        matcher.mask()


def test_a_further_key_cannot_pass_for_a_property_by_escapes(
    byte_level: Tokenizer, byte_level_compiler: GrammarCompiler
) -> None:
    schema = JsonSchema({"type": "object", "properties": {"a": {"type": "integer"}}})
    behind = matcher_behind(byte_level_compiler, byte_level, schema, '{"\\')
    assert behind.allows(byte_level.token_id("n"))
    assert not behind.allows(byte_level.token_id("u"))


def test_json_has_one_layout(byte_level: Tokenizer, byte_level_compiler: GrammarCompiler) -> None:
    grammar = byte_level_compiler.compile(JsonSchema(PERSON))
    text = text_of(byte_level, answer(grammar.matcher(), random_model(byte_level, 2), EOS, jump=False))
    assert text == json.dumps(json.loads(text), ensure_ascii=False)


@pytest.mark.parametrize(
    ("constraint", "cause"),
    [
        (JsonSchema({"type": "array", "uniqueItems": True}), "uniqueItems"),
        (JsonSchema({"not": {"type": "string"}}), "not"),
        (JsonSchema({"x-guidance": {"lenient": True}, "if": {}}), "if"),
        (JsonSchema({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "oneOf"),
        (JsonSchema({"type": "string", "format": "secret"}), "secret"),
        (JsonSchema({"type": "bogus"}), "bogus"),
        (JsonSchema({"$ref": "#/$defs/nowhere"}), "nowhere"),
        (JsonSchema({"$ref": "http://localhost/other.json"}), "localhost"),
        (JsonSchema({"type": "integer", "minimum": 4, "maximum": 2}), "minimum"),
        (JsonSchema({"type": "string", "pattern": "(?=a)b"}), "look-ahead"),
        (JsonSchema({"items": {"type": "object", "minProperties": 2}}), "at least 2 properties"),
        (JsonSchema({"allOf": [{"properties": {"a": {"minProperties": 2}}}]}), "at least 2 properties"),
        (JsonSchema({"const": "a\x01b"}), "control character"),
        (Regex("(a"), "unclosed group"),
        (Regex(r"(a)\1"), "backreferences"),
        (Regex(r"[^\s\S]"), "no token"),
    ],
)
def test_what_cannot_be_enforced_is_refused(
    byte_level_compiler: GrammarCompiler, constraint: Constraint, cause: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(cause)) as caught:
        byte_level_compiler.compile(constraint)
    assert "\n" not in str(caught.value)


def test_a_property_of_that_name_is_no_keyword(byte_level_compiler: GrammarCompiler) -> None:
    schema = {
        "type": "object",
        "properties": {"minProperties": {"const": 5}, "items": {"enum": [{"minProperties": 9}]}},
    }
    assert byte_level_compiler.compile(JsonSchema(schema)).matcher().forced()


def test_a_grammar_is_compiled_once(byte_level_compiler: GrammarCompiler) -> None:
    first = byte_level_compiler.compile(JsonSchema(PERSON))
    assert byte_level_compiler.compile(JsonSchema(json.dumps(PERSON))) is first


def test_kept_grammars_are_bounded(byte_level: Tokenizer) -> None:
    compiler = compiler_of(byte_level)
    first = compiler.compile(Regex("a{1}"))
    for length in range(2, 100):
        compiler.compile(Regex(f"a{{{length}}}"))
    assert compiler.compile(Regex("a{1}")) is not first


def test_threads_share_a_compiler(byte_level: Tokenizer) -> None:
    compiler = compiler_of(byte_level)
    together = threading.Barrier(8)

    def run(seed: int) -> list[int]:
        together.wait()
        matcher = compiler.compile(JsonSchema(PERSON)).matcher()
        return answer(matcher, random_model(byte_level, seed % 4), EOS, jump=True)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(run, range(8)))
    assert answers[:4] == answers[4:]


def test_a_model_without_an_end_token_is_refused(byte_level: Tokenizer) -> None:
    with pytest.raises(RequestError, match="no end-of-sequence token"):
        GrammarCompiler(byte_level, byte_level.vocab_size, ()).compile(Regex("a"))


def test_without_llguidance_the_extra_is_named(byte_level: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingDependency, match=r"edge-autoglm\[structured\]"):
        compiler_of(byte_level).compile(Regex("a"))
