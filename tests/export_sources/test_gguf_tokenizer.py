"""A tokenizer rebuilt from metadata cuts and joins as the original does."""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources.gguf_tokenizer import tokenizer_files
from tests.checkpoints import CHAT_TEMPLATE, tiny_tokenizer_json
from tests.export_sources.tiny_gguf import CONTROL, NORMAL, tiny_metadata, write_gguf

USER_DEFINED, BYTE, UNKNOWN = 4, 6, 2


def build(**changes: Any) -> TokenizerFiles:
    fields = {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return files_of({key: value for key, value in (tiny_metadata() | fields).items() if value is not None})


def files_of(metadata: dict[str, Any], rows: int = 400) -> TokenizerFiles:
    """From metadata as the header reader gives them: arrays of numbers as NumPy arrays."""
    read = {
        key: np.array(value) if isinstance(value, list) and not isinstance(value[0], str) else value
        for key, value in metadata.items()
    }
    return tokenizer_files(read, "model.gguf", rows)


def tokenizer(files: TokenizerFiles) -> Tokenizer:
    return Tokenizer.from_str(files.tokenizer_json)


@given(st.text(max_size=80))
@settings(deadline=None)
def test_it_encodes_like_the_tokenizer_it_was_made_from_and_decodes_to_the_same_text(text: str) -> None:
    rebuilt, original = tokenizer(build()), Tokenizer.from_str(tiny_tokenizer_json())
    assert rebuilt.encode(text).ids == original.encode(text).ids
    assert rebuilt.decode(rebuilt.encode(text).ids, skip_special_tokens=False) == text


WORDS = "I'M  42km, x\n\n 1234²中"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpt-2", ["I", "'", "M", " ", " 42", "km", ",", " x", "\n\n", " 1234²", "中"]),
        ("smollm", ["I", "'", "M", "  ", "4", "2", "km", ",", " x", "\n\n ", "1", "2", "3", "4", "²", "中"]),
        ("llama-bpe", ["I", "'M", " ", " ", "42", "km", ",", " x", "\n\n", " ", "123", "4²", "中"]),
        ("qwen2", ["I", "'M", " ", " ", "4", "2", "km", ",", " x", "\n\n", " ", "1", "2", "3", "4", "²", "中"]),
    ],
)
def test_each_pre_tokenizer_cuts_words_its_own_way(name: str, words: list[str]) -> None:
    pre_tokenizer = tokenizer(build(pre=name)).pre_tokenizer
    offsets = [span for _, span in pre_tokenizer.pre_tokenize_str(WORDS)]
    assert [WORDS[begin:end] for begin, end in offsets] == words


def test_qwen2_composes_characters_first_and_smollm_does_not() -> None:
    decomposed = unicodedata.normalize("NFD", "é")
    assert tokenizer(build(pre="qwen2")).encode(decomposed).ids == tokenizer(build(pre="qwen2")).encode("é").ids
    assert tokenizer(build(pre="smollm")).encode(decomposed).ids != tokenizer(build(pre="smollm")).encode("é").ids


def test_llama3_takes_a_word_of_the_vocabulary_whole_even_where_no_merges_lead_there() -> None:
    metadata = tiny_metadata()
    tokens = [*metadata["tokenizer.ggml.tokens"], "xyzzy"]
    kinds = [*metadata["tokenizer.ggml.token_type"], NORMAL]
    whole = tokenizer(build(pre="llama-bpe", tokens=tokens, token_type=kinds))
    assert whole.encode("xyzzy").tokens == ["xyzzy"]
    assert len(tokenizer(build(pre="gpt-2", tokens=tokens, token_type=kinds)).encode("xyzzy").tokens) > 1


def test_an_unknown_pre_tokenizer_is_named() -> None:
    with pytest.raises(UnsupportedModel, match=r"model\.gguf has the pre-tokenizer 'tekken-next'"):
        build(pre="tekken-next")


def test_an_unknown_kind_of_tokenizer_is_named() -> None:
    with pytest.raises(UnsupportedModel, match="kind 'rwkv'"):
        build(model="rwkv")


def test_control_tokens_are_special_and_user_defined_ones_are_ordinary_text() -> None:
    metadata = tiny_metadata()
    tokens = [*metadata["tokenizer.ggml.tokens"], "<tool>"]
    kinds = [*metadata["tokenizer.ggml.token_type"], USER_DEFINED]
    rebuilt = tokenizer(build(tokens=tokens, token_type=kinds))
    ids = rebuilt.encode("<|im_start|>a<tool>b").ids
    assert ids[0] == 1
    assert len(tokens) - 1 in ids
    assert rebuilt.decode(ids) == "a<tool>b"


def test_texts_about_the_tokens_come_from_the_metadata() -> None:
    files = build()
    assert (files.bos_token, files.eos_token, files.add_bos) == ("<|im_start|>", "<|im_end|>", False)
    assert files.chat_template == CHAT_TEMPLATE


def test_eos_eot_and_control_tokens_that_end_a_turn_all_end_a_generation() -> None:
    # Id 0 is <|endoftext|>, a control token; 2 is named as EOS, 7 as end of turn.
    assert build(eot_token_id=7).eos_token_ids == (2, 7, 0)
    assert build(eos_token_id=None).eos_token_ids == (0, 2)


def test_a_file_without_any_ending_is_refused() -> None:
    kinds = [NORMAL] * len(tiny_metadata()["tokenizer.ggml.tokens"])
    with pytest.raises(NotAModel, match="no token that ends a text"):
        build(token_type=kinds, eos_token_id=None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"add_bos_token": True}, True),
        ({"add_bos_token": None}, False),
        ({"add_bos_token": None, "pre": "llama-bpe"}, True),
        ({"add_bos_token": True, "bos_token_id": None}, False),
    ],
)
def test_bos_is_added_where_the_metadata_or_the_pre_tokenizer_say_so(changes: dict[str, Any], expected: bool) -> None:
    assert build(**changes).add_bos is expected


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"tokens": None}, r"lack 'tokenizer\.ggml\.tokens'"),
        ({"merges": None}, r"lack 'tokenizer\.ggml\.merges'"),
        ({"merges": ["qu ux"]}, "merge 'qu ux'"),
        ({"token_type": [1, 2]}, "2 token types"),
        ({"tokens": ["a", "a"], "token_type": [1, 1]}, "1 tokens occur twice"),
        ({"tokens": [1, 2]}, r"'tokenizer\.ggml\.tokens' is no list of texts"),
        ({"eos_token_id": 5000}, "eos_token_id is 5000"),
        ({"model": "llama"}, r"lack 'tokenizer\.ggml\.scores'"),
    ],
)
def test_metadata_that_contradict_themselves_are_refused(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(NotAModel, match=cause):
        build(**changes)


def sentencepiece_metadata() -> dict[str, Any]:
    pieces = ["▁", "a", "b", "c", "ab", "bc", "▁a", "▁ab", "abc", "ca", "▁▁", "cab", "▁abc"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    kinds = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * len(pieces)]
    # The usual layout: bytes and control tokens score 0, pieces fall from -1; single characters come last.
    scores = [0.0] * 259 + [-float(100 - i if len(piece) == 1 else i) for i, piece in enumerate(pieces)]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def sentencepiece_encode(text: str, metadata: dict[str, Any]) -> list[str]:
    """SentencePiece's own algorithm: join the neighbours whose union scores best, the leftmost first."""
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    score = dict(zip(tokens[259:], metadata["tokenizer.ggml.scores"][259:], strict=True))
    pieces = list(("▁" + text.replace(" ", "▁")) if text else "")
    while True:
        joins = [(-score[a + b], i) for i, (a, b) in enumerate(itertools.pairwise(pieces)) if a + b in score]
        if not joins:
            break
        _, i = min(joins)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    parts = ([piece] if piece in score else [f"<0x{byte:02X}>" for byte in piece.encode()] for piece in pieces)
    return [part for each in parts for part in each]


@given(st.text(alphabet="abc é\n", max_size=30))
@settings(deadline=None)
def test_sentencepiece_joins_by_score_and_falls_back_to_bytes(text: str) -> None:
    metadata = sentencepiece_metadata()
    rebuilt = tokenizer(files_of(metadata))
    encoding = rebuilt.encode(text)
    assert encoding.tokens == sentencepiece_encode(text, metadata)
    assert rebuilt.decode(encoding.ids) == text


def test_sentencepiece_without_a_space_prefix_leaves_the_first_word_as_it_is() -> None:
    files = files_of(sentencepiece_metadata() | {"tokenizer.ggml.add_space_prefix": False})
    assert tokenizer(files).encode("abc ab").tokens == ["abc", "▁ab"]
    assert tokenizer(files).decode(tokenizer(files).encode(" ab").ids) == " ab"


def test_sentencepiece_adds_bos_unless_told_otherwise() -> None:
    assert files_of(sentencepiece_metadata()).add_bos is True
    metadata = sentencepiece_metadata() | {"tokenizer.ggml.add_bos_token": False}
    assert files_of(metadata).add_bos is False


def test_the_file_adds_no_tokens_of_its_own() -> None:
    content = json.loads(build(add_bos_token=True).tokenizer_json)
    assert content["post_processor"] is None
    assert tokenizer(build(add_bos_token=True)).encode("a").ids == tokenizer(build()).encode("a").ids


def with_added_tokens(architecture: str) -> dict[str, Any]:
    """A SentencePiece vocabulary with control tokens, user-defined ones and a run of spaces as one of them."""
    metadata = sentencepiece_metadata()
    # Gemma has runs of line feeds among its tokens, Phi-3, whose tokens swallow them, has none.
    added = {"▁▁▁": USER_DEFINED} | ({} if architecture == "phi3" else {"\n\n": USER_DEFINED})
    added |= {"<tool>": USER_DEFINED, "<|user|>": CONTROL, "<|end|>": CONTROL, "<|endoftext|>": CONTROL}
    metadata["tokenizer.ggml.tokens"] = [*metadata["tokenizer.ggml.tokens"], *added]
    metadata["tokenizer.ggml.token_type"] = [*metadata["tokenizer.ggml.token_type"], *added.values()]
    metadata["tokenizer.ggml.scores"] = [*metadata["tokenizer.ggml.scores"], *[0.0] * len(added)]
    return metadata | {"general.architecture": architecture, "general.name": f"{architecture} mini"}


# Tokens that llama.cpp (llama-cpp-python 0.3.36) gives, special tokens parsed.
LLAMA_CPP_TOKENS: list[tuple[str, str, list[str]]] = [
    ("llama", "a   b", ["▁a", "▁▁▁", "b"]),
    ("llama", "   ", ["▁▁▁", "▁"]),
    ("llama", "▁▁▁a", ["▁▁▁", "▁a"]),
    ("llama", "x<tool> ab<|end|>  a\n\n", ["▁", "<0x78>", "<tool>", "▁", "▁ab", "<|end|>", "▁▁", "▁a", "\n\n"]),
    ("phi3", "<|user|>\n ab<|end|>\n\nabc", ["<|user|>", "▁ab", "<|end|>", "▁abc"]),
    ("phi3", "<s> ab <tool> ab</s>  a", ["<s>", "▁", "▁ab", "▁", "<tool>", "▁ab", "</s>", "▁a"]),
    ("phi3", "<|endoftext|> ab<unk> ab", ["<|endoftext|>", "▁", "▁ab", "<unk>", "▁", "▁ab"]),
]


@pytest.mark.parametrize(("architecture", "text", "tokens"), LLAMA_CPP_TOKENS)
def test_added_tokens_are_cut_out_as_llama_cpp_does(architecture: str, text: str, tokens: list[str]) -> None:
    rebuilt = tokenizer(files_of(with_added_tokens(architecture)))
    assert [rebuilt.id_to_token(token_id) for token_id in rebuilt.encode(text).ids] == tokens


@pytest.mark.oracle
@pytest.mark.parametrize("architecture", ["llama", "phi3"])
def test_random_texts_with_added_tokens_become_the_tokens_of_llama_cpp(architecture: str, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="the oracle llama-cpp-python is not installed")
    metadata = with_added_tokens(architecture)
    sizes = ("context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count")
    model = {f"{architecture}.{key}": 8 for key in (*sizes, "rope.scaling.original_context_length")}
    model[f"{architecture}.attention.layer_norm_rms_epsilon"] = 1e-5
    stored = {key: value for key, value in metadata.items() if key != "general.architecture"} | model
    path = write_gguf(tmp_path / "vocabulary.gguf", stored, {}, architecture=architecture)
    oracle = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    rebuilt, rng = tokenizer(files_of(metadata)), random.Random(0)
    parts = ["a", "b", "c", " ", "  ", "\n", "x", "▁", *metadata["tokenizer.ggml.tokens"][-5:], "<s>", "</s>", "<unk>"]
    for _ in range(2000):
        text = "".join(rng.choices(parts, k=rng.randint(1, 12)))
        assert rebuilt.encode(text).ids == oracle.tokenize(text.encode(), add_bos=False, special=True), text
