"""A small SentencePiece-like tokenizer, in the shape that Llama 2 checkpoints ship."""

from __future__ import annotations

import json

_PIECES = ["▁", *"abcdefghijklmnopqrstuvwxyzA.,:<>/|!?", "é", "中"]
_MERGES = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("o", "o"), ("g", "oo"), ("▁", "goo"), ("▁", "▁")]


def byte_fallback_json() -> str:
    """Special tokens 0 to 2, the bytes 3 to 258, then pieces and merges."""
    special = ["<unk>", "<s>", "</s>"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = [*special, *bytes_, *_PIECES, *(left + right for left, right in _MERGES)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0},
            "padding": None,
            "added_tokens": [{"id": i, "content": text, **flags} for i, text in enumerate(special)],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "▁"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                ],
            },
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
                ],
            },
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": True,
                "byte_fallback": True,
                "vocab": {token: i for i, token in enumerate(tokens)},
                "merges": [f"{left} {right}" for left, right in _MERGES],
            },
        }
    )
