"""A ``tokenizers`` file from the metadata of a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources.gguf_vocabulary import CONVERT_AGAIN, GGUFVocabulary, TokenType
from edge_autoglm.export.sources.gguf_words import byte_level_parts, sentencepiece_parts
from edge_autoglm.export.sources.tokenizers_file import checked_template, load_tokenizer

_PARTS = {"gpt2": byte_level_parts, "llama": sentencepiece_parts}
_END_OF_TURN = frozenset(
    {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>"}
)
"""Control tokens that end a generation although the metadata names only one of them; a subset of llama.cpp's list."""
_PHI3_KEEPS_SPACE = frozenset({"<unk>", "<s>", "<|endoftext|>"})
"""Phi-3's other added tokens swallow the spaces behind them: known to llama.cpp's code, not in the metadata."""


def tokenizer_files(metadata: Mapping[str, Any], location: str, rows: int) -> TokenizerFiles:
    """Rebuild the tokenizer.

    Args:
        metadata: Of the GGUF file.
        location: The file, for messages.
        rows: Of the embedding.

    Raises:
        UnsupportedModel: The tokenizer is neither byte-level BPE nor SentencePiece, of an unknown pre-tokenizer, or has
            more tokens than the embedding has rows.
        NotAModel: The metadata lack a field, or contradict themselves.
        TemplateError: The chat template has a syntax error.
    """
    vocabulary = GGUFVocabulary(metadata, location)
    kind = str(vocabulary.need("model"))
    if kind not in _PARTS:
        raise UnsupportedModel(
            f"{location} has a tokenizer of the kind {kind!r}; {', '.join(map(repr, _PARTS))} are read",
            "Export from the model's Hugging Face folder, which has a tokenizer.json.",
        )
    if len(vocabulary.tokens) > rows:
        raise UnsupportedModel(
            f"{location}: tokenizer.ggml.tokens has {len(vocabulary.tokens)} tokens, but the embedding "
            f"(token_embd.weight) has {rows} rows",
            CONVERT_AGAIN,
        )
    parts, adds_bos = _PARTS[kind](vocabulary)
    bos, eos, eot = (vocabulary.token_id(name) for name in ("bos", "eos", "eot"))
    special = set(vocabulary.of_type(TokenType.CONTROL, TokenType.UNKNOWN))
    special.update(i for i in (bos, eos, eot) if i is not None)
    added = sorted(special.union(vocabulary.of_type(TokenType.USER_DEFINED)))
    strips = kind == "llama" and metadata.get("general.architecture") == "phi3"
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(i, vocabulary.tokens[i], i in special, strips) for i in added],
        "post_processor": None,
    }
    text = json.dumps(content | parts, ensure_ascii=False)
    load_tokenizer(text, f"the tokenizer of {location}")
    return TokenizerFiles(
        tokenizer_json=text,
        chat_template=checked_template(metadata.get("tokenizer.chat_template"), location),
        bos_token=None if bos is None else vocabulary.tokens[bos],
        eos_token=None if eos is None else vocabulary.tokens[eos],
        eos_token_ids=_endings(vocabulary, eos, eot, special),
        add_bos=bos is not None and bool(vocabulary.get("add_bos_token", adds_bos)),
    )


def _endings(vocabulary: GGUFVocabulary, eos: int | None, eot: int | None, special: set[int]) -> tuple[int, ...]:
    named = [i for i in (eos, eot) if i is not None]
    endings = tuple(dict.fromkeys(named + [i for i in sorted(special) if vocabulary.tokens[i] in _END_OF_TURN]))
    if not endings:
        raise NotAModel(f"{vocabulary.location}: the metadata name no token that ends a text", CONVERT_AGAIN)
    return endings


def _added_token(token_id: int, content: str, special: bool, strips: bool) -> dict[str, Any]:
    return {
        "id": token_id,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": strips and content not in _PHI3_KEEPS_SPACE,
        "normalized": False,
        "special": special,
    }
