"""A ``tokenizers`` file from the metadata of a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources.pre_tokenizers import PRE_TOKENIZERS, PreTokenizer

_PREFIX = "tokenizer.ggml."
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
"""``tokenizer.ggml.token_type``; other values are ordinary vocabulary that text never turns into."""
_END_OF_TURN = frozenset({"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>"})
"""Control tokens that end a generation although the metadata names only one of them; a subset of llama.cpp's list."""
_CONVERT_AGAIN = "Convert the model again with a current llama.cpp."


def tokenizer_files(metadata: Mapping[str, Any], location: str) -> TokenizerFiles:
    """Rebuild the tokenizer.

    Args:
        metadata: Of the GGUF file.
        location: The file, for messages.

    Raises:
        UnsupportedModel: The tokenizer is not byte-level BPE, or of an unknown pre-tokenizer.
        NotAModel: The metadata lack a field, or contradict themselves.
    """
    fields = {key.removeprefix(_PREFIX): value for key, value in metadata.items() if key.startswith(_PREFIX)}
    pre_tokenizer = _pre_tokenizer(fields, location)
    tokens: list[str] = _need(fields, "tokens", location)
    kinds: list[int] = fields.get("token_type", [_NORMAL] * len(tokens))
    if len(kinds) != len(tokens):
        raise NotAModel(f"{location}: {len(tokens)} tokens, but {len(kinds)} token types", _CONVERT_AGAIN)
    bos, eos, eot = (_token_id(fields, name, len(tokens), location) for name in ("bos", "eos", "eot"))
    control = {i for i, kind in enumerate(kinds) if kind in (_CONTROL, _UNKNOWN)}
    control.update(i for i in (bos, eos, eot) if i is not None)
    endings = [i for i in (eos, eot) if i is not None] + sorted(i for i in control if tokens[i] in _END_OF_TURN)
    if not endings:
        raise NotAModel(f"{location}: the metadata lack '{_PREFIX}eos_token_id'", _CONVERT_AGAIN)
    return TokenizerFiles(
        tokenizer_json=_tokenizer_json(fields, pre_tokenizer, tokens, kinds, control, location),
        chat_template=metadata.get("tokenizer.chat_template"),
        bos_token=None if bos is None else tokens[bos],
        eos_token=None if eos is None else tokens[eos],
        eos_token_ids=tuple(dict.fromkeys(endings)),
        add_bos=bos is not None and fields.get("add_bos_token", pre_tokenizer.add_bos),
    )


def _pre_tokenizer(fields: Mapping[str, Any], location: str) -> PreTokenizer:
    model = _need(fields, "model", location)
    if model != "gpt2":
        raise UnsupportedModel(
            f"{location} has a tokenizer of the kind {model!r}; byte-level BPE ('gpt2') is read",
            "Export from the model's Hugging Face folder, which has a tokenizer.json.",
        )
    name = fields.get("pre", "default")
    if name not in PRE_TOKENIZERS:
        raise UnsupportedModel(
            f"{location} has the pre-tokenizer {name!r}; known are {', '.join(PRE_TOKENIZERS)}",
            "Export from the model's Hugging Face folder, which has a tokenizer.json.",
        )
    return PRE_TOKENIZERS[name]


def _tokenizer_json(
    fields: Mapping[str, Any],
    pre_tokenizer: PreTokenizer,
    tokens: list[str],
    kinds: list[int],
    control: set[int],
    location: str,
) -> str:
    vocabulary = {token: i for i, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise NotAModel(f"{location}: {len(tokens) - len(vocabulary)} tokens occur twice", _CONVERT_AGAIN)
    added = [
        _added_token(i, token, special=i in control)
        for i, token in enumerate(tokens)
        if i in control or kinds[i] == _USER_DEFINED
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": pre_tokenizer.normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(pre_tokenizer.steps)},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": pre_tokenizer.ignore_merges,
            "vocab": vocabulary,
            "merges": _merges(_need(fields, "merges", location), vocabulary, location),
        },
    }
    return json.dumps(content, ensure_ascii=False)


def _added_token(token_id: int, content: str, special: bool) -> dict[str, Any]:
    return {
        "id": token_id,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def _merges(merges: list[str], vocabulary: Mapping[str, int], location: str) -> list[list[str]]:
    pairs = []
    for merge in merges:
        left, _, right = merge.partition(" ")
        if not (left in vocabulary and right in vocabulary and left + right in vocabulary):
            raise NotAModel(f"{location}: the merge {merge!r} is not of tokens of the vocabulary", _CONVERT_AGAIN)
        pairs.append([left, right])
    return pairs


def _token_id(fields: Mapping[str, Any], name: str, count: int, location: str) -> int | None:
    value = fields.get(f"{name}_token_id")
    if value is not None and not 0 <= value < count:
        raise NotAModel(f"{location}: {name}_token_id is {value}, beyond the {count} tokens", _CONVERT_AGAIN)
    return value


def _need(fields: Mapping[str, Any], key: str, location: str) -> Any:
    if key not in fields:
        raise NotAModel(f"{location}: the metadata lack '{_PREFIX}{key}'", _CONVERT_AGAIN)
    return fields[key]
