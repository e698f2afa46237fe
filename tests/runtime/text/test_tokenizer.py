from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import InputRejected, UnsupportedModel
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import VOCAB_SIZE, tiny_tokenizer_json
from tests.runtime.tokenizers_for_tests import byte_fallback_json

BYTE_LEVEL = Tokenizer(tiny_tokenizer_json())
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(UNICODE)
def test_text_survives_encoding_and_decoding(text: str) -> None:
    assert BYTE_LEVEL.decode(BYTE_LEVEL.encode(text)) == text


@given(UNICODE)
def test_token_bytes_are_the_bytes_of_the_text(text: str) -> None:
    assert b"".join(map(BYTE_LEVEL.token_bytes, BYTE_LEVEL.encode(text))) == text.encode()


def test_special_tokens_of_a_prompt_are_parsed_and_have_no_text(byte_level: Tokenizer) -> None:
    ids = byte_level.encode("<|im_start|>user\n")
    assert ids[0] == byte_level.token_id("<|im_start|>") == 1
    assert byte_level.special_ids == {0, 1, 2}
    assert byte_level.token_bytes(1) == b""
    assert byte_level.decode(ids) == "user\n"


def test_callers_may_change_the_list_they_get(byte_level: Tokenizer) -> None:
    byte_level.encode("a film").append(5)
    assert byte_level.decode(byte_level.encode("a film")) == "a film"


def test_byte_tokens_are_their_byte(byte_fallback: Tokenizer) -> None:
    ids = byte_fallback.encode("🙂")
    assert b"".join(map(byte_fallback.token_bytes, ids)) == " 🙂".encode()
    assert byte_fallback.decode(ids) == "🙂"


def test_ids_without_a_token_have_no_text(any_tokenizer: Tokenizer) -> None:
    beyond = any_tokenizer.vocab_size + 5
    assert any_tokenizer.token_bytes(beyond) == b""
    assert any_tokenizer.decode([beyond]) == ""


def test_truncation_settings_of_the_file_do_not_cut_prompts(byte_fallback: Tokenizer) -> None:
    assert json.loads(byte_fallback_json())["truncation"]["max_length"] == 7
    assert len(byte_fallback.encode("abcdefghijklmnop")) == 17


def test_a_file_and_its_content_are_the_same_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(tiny_tokenizer_json(), encoding="utf-8")
    tokenizer = Tokenizer(path)
    assert tokenizer.fingerprint == BYTE_LEVEL.fingerprint
    assert tokenizer.vocab_size == VOCAB_SIZE
    assert tokenizer.fingerprint != Tokenizer(byte_fallback_json()).fingerprint


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    for content in (b"{}", b"\xff\xfe", b"not json"):
        path.write_bytes(content)
        with pytest.raises(UnsupportedModel, match=r"tokenizer\.json"):
            Tokenizer(path)
    with pytest.raises(UnsupportedModel, match="missing"):
        Tokenizer(tmp_path / "missing")


@pytest.mark.parametrize("decoder", [None, {"type": "WordPiece", "prefix": "##", "cleanup": True}])
def test_unknown_decoders_are_refused(decoder: object) -> None:
    with pytest.raises(UnsupportedModel, match="decoder"):
        Tokenizer(json.dumps(json.loads(tiny_tokenizer_json()) | {"decoder": decoder}))


def test_half_a_surrogate_pair_is_refused(byte_level: Tokenizer) -> None:
    with pytest.raises(InputRejected, match="surrogate"):
        byte_level.encode("a\ud800b")


def test_unknown_tokens_are_refused(byte_level: Tokenizer) -> None:
    with pytest.raises(UnsupportedModel, match="no_such_token"):
        byte_level.token_id("<|no_such_token|>")


@pytest.mark.parametrize(
    "text", ["<|im_start|>user\nthis is a", "a film ", "the good", "so  ", "你", "你好 ", "x\n", "it'", "1"]
)
@pytest.mark.parametrize(
    "rest", ["b", " film", "1", "\n", "\n\n x", "'s", "ll", "好", "🙂", "\u0301", "<|im_end|>", "."]
)
def test_stable_tokens_begin_every_longer_text(byte_level: Tokenizer, text: str, rest: str) -> None:
    stable = byte_level.stable_tokens(text)
    whole = byte_level.encode(text + rest)
    assert whole[: len(stable)] == stable


def test_stable_tokens_leave_out_little(byte_level: Tokenizer) -> None:
    text = "<|im_start|>user\nthis is a good film and a great text:"
    assert len(byte_level.encode(text)) - len(byte_level.stable_tokens(text)) <= 2
    assert byte_level.stable_tokens("x<|im_end|>") == byte_level.encode("x<|im_end|>")
    assert byte_level.stable_tokens("") == []
