"""The real model out of its GGUF file: it answers, and its tokenizer is llama.cpp's to the token."""

from __future__ import annotations

import random
from importlib.resources import files
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.sources import open_checkpoint
from tests.oracles.llama_numpy import logits

QUESTION = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
ANSWER = "The capital of France is Paris.<|im_end|>"

# Token ids that llama.cpp (llama-cpp-python 0.3.36) gives, special tokens parsed.
LLAMA_CPP_TOKENS: list[tuple[str, list[int]]] = [
    ("", []),
    (" ", [216]),
    ("Hello world", [19556, 905]),
    ("  3d glasses, 1,024 px", [256, 35, 84, 13645, 28, 216, 33, 28, 32, 34, 36, 273, 104]),
    ("I'm sure they'LL we've", [57, 5248, 2090, 502, 23, 16421, 392, 3543]),
    ("a\n\n\n  b\t\tc   ", [81, 1116, 3805, 278, 197, 197, 83, 333]),
    ("def f(x):\n    return x**2  # ok", [1604, 275, 24, 104, 727, 472, 1003, 1792, 828, 34, 216, 907, 10907]),
    ("naïve café — “quotes”…", [3546, 46494, 37366, 1841, 619, 385, 2346, 573, 2829]),
    ("🙂👩\u200d👩\u200d👧", [10813, 38887, 10813, 235, 119, 321, 231, 10813, 235, 119, 321, 231, 10813, 235, 117]),
    ("e\u0301 \u00a0\u2003x", [85, 151, 219, 3351, 250, 321, 221, 104]),
    ("٣½Ⅷ²", [164, 113, 16738, 173, 223, 117, 19133]),
    ("<|im_start|>user\nhi<|im_end|>\n", [1, 4093, 198, 6004, 2, 198]),
    ("<|im_start", [44, 108, 306, 79, 3738]),
]


@pytest.fixture(scope="module")
def checkpoint(smollm2_gguf: Path) -> Checkpoint:
    return open_checkpoint(str(smollm2_gguf))


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    return Tokenizer.from_str(checkpoint.tokenizer().tokenizer_json)


def varied_texts(count: int, seed: int = 0) -> list[str]:
    """Snippets people wrote, and random mixtures of alphabets, digits, marks, spaces and control characters."""
    rng = random.Random(seed)
    alphabets = [
        " \t\n\r\u00a0\u2003\u3000\x0b\x0c\x85\u2028",
        "'sStTrRvVlLmMdDeE’",
        "0123456789²½Ⅷ٣४௧⑦",
        "abc XYZ éàñß İıſK",
        "你好世界，。！日本語カタカナ한국어",
        "Привет мир ελληνικά עברית العربية हिन्दी ไทย",
        "😀👩\u200d👧🇫🇷✨\ufe0f",
        '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~',
        "e\u0301a\u0308\u0300\u0345",
        "\x00\x01\x7f\u200b\ufeff\ufffd\ue000𠀀𝔘𝟘",
    ]
    mixtures = [
        "".join(rng.choice(rng.choice(chosen)) for _ in range(rng.randint(1, 60)))
        for chosen in (rng.sample(alphabets, rng.randint(1, 5)) for _ in range(count // 2))
    ]
    tables = [files("edge_autoglm.data").joinpath(f"sentiment_{domain}.tsv") for domain in ("movies", "tweets")]
    rows = [row for table in tables for row in table.read_text(encoding="utf-8").splitlines()]
    snippets = rng.sample(rows, min(count - len(mixtures), len(rows)))
    return [*mixtures, *snippets, *(text for text, _ in LLAMA_CPP_TOKENS)]


def test_it_answers_greedily_that_the_capital_of_france_is_paris(checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
    question, answer = tokenizer.encode(QUESTION).ids, tokenizer.encode(ANSWER).ids
    # Every token of the answer is the most likely one after those before it: so it is the greedy continuation.
    predicted = logits(checkpoint, question + answer)[len(question) - 1 : -1].argmax(-1)
    assert tokenizer.decode(predicted.tolist(), skip_special_tokens=False) == ANSWER
    assert predicted[-1] in checkpoint.tokenizer().eos_token_ids


def test_the_metadata_describe_the_published_model(checkpoint: Checkpoint) -> None:
    config, files = checkpoint.config, checkpoint.tokenizer()
    assert (config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]) == (30, 576, 49152)
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (9, 3, 64)
    assert config["tie_word_embeddings"] is True
    assert (files.bos_token, files.eos_token, files.add_bos) == ("<|im_start|>", "<|im_end|>", False)
    assert files.eos_token_ids == (2, 0)
    assert files.chat_template is not None
    assert "add_generation_prompt" in files.chat_template


@pytest.mark.parametrize(("text", "ids"), LLAMA_CPP_TOKENS)
def test_texts_become_the_tokens_of_llama_cpp(text: str, ids: list[int], tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(text).ids == ids


def test_decoding_gives_the_text_back(tokenizer: Tokenizer) -> None:
    for text in varied_texts(3000, seed=1):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.oracle
def test_three_thousand_texts_become_the_tokens_of_llama_cpp(smollm2_gguf: Path, tokenizer: Tokenizer) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="the oracle llama-cpp-python is not installed")
    oracle = llama_cpp.Llama(str(smollm2_gguf), vocab_only=True, verbose=False)
    mismatches = [
        text
        for text in varied_texts(3000)
        if oracle.tokenize(text.encode(), add_bos=False, special=True) != tokenizer.encode(text).ids
    ]
    assert mismatches == []
