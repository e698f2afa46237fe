from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_autoglm.runtime.text.detokenize import StreamDecoder
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import VOCAB_SIZE, tiny_tokenizer_json
from tests.runtime.tokenizers_for_tests import byte_fallback_json

BYTE_LEVEL = Tokenizer(tiny_tokenizer_json())
BYTE_FALLBACK = Tokenizer(byte_fallback_json())
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TEXTS = ["你好，世界", "🙂👩‍👩‍👧‍👦🇨🇭", "e\u0301a\u0308\u0323", "naïve – “quoted” ½", "नमस्ते", " the  film\n\n"]


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    decoder = StreamDecoder(tokenizer)
    return [*map(decoder.push, ids), decoder.finish()]


def token_of_byte(byte: int) -> int:
    return next(token for token in range(3, 259) if BYTE_LEVEL.token_bytes(token) == bytes([byte]))


BYTE_TOKENS = [token_of_byte(byte) for byte in range(256)]


@pytest.mark.parametrize("text", TEXTS)
def test_characters_arrive_whole_wherever_tokens_split_them(text: str) -> None:
    for ids in (BYTE_LEVEL.encode(text), [BYTE_TOKENS[byte] for byte in text.encode()]):
        *streamed, rest = pieces(BYTE_LEVEL, ids)
        assert "".join(streamed) == text
        assert rest == ""
        assert not any("\ufffd" in piece for piece in streamed)


def test_a_character_is_released_as_soon_as_it_is_complete() -> None:
    ids = BYTE_LEVEL.encode("你好")
    assert len(ids) == 4  # half of the first, its end with the beginning of the second, ...
    assert pieces(BYTE_LEVEL, ids) == ["", "你", "", "好", ""]


@given(UNICODE)
@example("🙂")
def test_streamed_text_equals_the_text(text: str) -> None:
    assert "".join(pieces(BYTE_LEVEL, BYTE_LEVEL.encode(text))) == text
    ids = BYTE_FALLBACK.encode(text)
    assert "".join(pieces(BYTE_FALLBACK, ids)) == BYTE_FALLBACK.decode(ids)


@given(st.lists(st.integers(0, VOCAB_SIZE + 3), max_size=24))
def test_any_tokens_stream_to_what_decode_makes_of_them(ids: list[int]) -> None:
    assert "".join(pieces(BYTE_LEVEL, ids)) == BYTE_LEVEL.decode(ids)


@given(st.lists(st.sampled_from(sorted({0x61, 0x80, 0xA0, 0xC3, 0xE4, 0xED, 0xF0, 0xF4, 0xFF})), max_size=10))
@example([0xE4, 0xBD])
@example([0xED, 0xA0, 0x80])
@example([0xF0, 0x9F, 0x99])
def test_broken_utf8_streams_to_what_decode_makes_of_it(content: list[int]) -> None:
    ids = [BYTE_TOKENS[byte] for byte in content]
    assert "".join(pieces(BYTE_LEVEL, ids)) == BYTE_LEVEL.decode(ids)


@given(st.lists(st.one_of(st.integers(0, 2), st.integers(0x3 + 0x80, 0x3 + 0xFF), st.integers(259, 305)), max_size=16))
def test_byte_fallback_streams_to_what_decode_makes_of_it(ids: list[int]) -> None:
    assert "".join(pieces(BYTE_FALLBACK, ids)) == BYTE_FALLBACK.decode(ids)


def test_an_unfinished_character_is_flushed_as_invalid() -> None:
    assert pieces(BYTE_LEVEL, BYTE_LEVEL.encode("好")[:1]) == ["", "\ufffd"]


def test_the_first_space_of_a_byte_fallback_text_is_not_part_of_it() -> None:
    ids = BYTE_FALLBACK.encode("the goo")
    assert pieces(BYTE_FALLBACK, ids) == ["the", " goo", ""]


def test_special_tokens_have_no_text_and_do_not_break_characters() -> None:
    first, second = BYTE_LEVEL.encode("中")[:1], BYTE_LEVEL.encode("中")[1:]
    assert "".join(pieces(BYTE_LEVEL, [*first, 2, *second])) == "中"
