"""How the two kinds of GGUF tokenizer turn words into tokens, as parts of a ``tokenizers`` file."""

from __future__ import annotations

from typing import Any

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.sources.gguf_vocabulary import CONVERT_AGAIN, GGUFVocabulary, TokenType
from edge_autoglm.export.sources.pre_tokenizers import PRE_TOKENIZERS

Parts = dict[str, Any]
_SPACE = "▁"


def byte_level_parts(vocabulary: GGUFVocabulary) -> tuple[Parts, bool]:
    """Byte-level BPE, the kind ``gpt2``.

    Returns:
        Normalizer, pre-tokenizer, decoder and model; whether prompts start with BOS where the metadata do not say.

    Raises:
        UnsupportedModel: The pre-tokenizer is unknown.
        NotAModel: A merge is not of tokens of the vocabulary.
    """
    name = str(vocabulary.get("pre", "default"))
    if name not in PRE_TOKENIZERS:
        raise UnsupportedModel(
            f"{vocabulary.location} has the pre-tokenizer {name!r}; known are {', '.join(PRE_TOKENIZERS)}",
            "Export from the model's Hugging Face folder, which has a tokenizer.json.",
        )
    rules = PRE_TOKENIZERS[name]
    merges = [_checked_merge(vocabulary, merge) for merge in vocabulary.need_texts("merges")]
    parts = {
        "normalizer": rules.normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(rules.steps)},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": _bpe(vocabulary, merges, ignore_merges=rules.ignore_merges),
    }
    return parts, rules.add_bos


def sentencepiece_parts(vocabulary: GGUFVocabulary) -> tuple[Parts, bool]:
    """SentencePiece BPE with byte fallback, the kind ``llama``.

    SentencePiece joins the two neighbours whose union scores best. The same as a list of merges: every way to cut a
    token into two tokens, by falling score (as the Llama converter of transformers does it).

    Returns:
        Normalizer, pre-tokenizer, decoder and model; whether prompts start with BOS where the metadata do not say.

    Raises:
        NotAModel: The metadata lack the scores.
    """
    scores = vocabulary.need_numbers("scores")
    if len(scores) != len(vocabulary.tokens):
        raise NotAModel(f"{vocabulary.location}: {len(vocabulary.tokens)} tokens, {len(scores)} scores", CONVERT_AGAIN)
    # Gemma's runs of spaces are user-defined; like llama.cpp, join them from single ones too.
    pieces = {vocabulary.tokens[i] for i in vocabulary.of_type(TokenType.NORMAL, TokenType.USER_DEFINED)}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in pieces and piece[cut:] in pieces
    ]
    merges.sort(key=lambda pair: (-scores[vocabulary.ids[pair[0] + pair[1]]], -len(pair[0]), pair))
    prefix = bool(vocabulary.get("add_space_prefix", True))
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    decoders: list[Parts] = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    parts = {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Prepend", "prepend": _SPACE}, spaces] if prefix else [spaces],
        },
        "pre_tokenizer": None,
        "decoder": {
            "type": "Sequence",
            "decoders": decoders + ([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []),
        },
        "model": _bpe(vocabulary, merges, byte_fallback=True),
    }
    return parts, True


def _checked_merge(vocabulary: GGUFVocabulary, merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    if not {left, right, left + right} <= vocabulary.ids.keys():
        raise NotAModel(f"{vocabulary.location}: the merge {merge!r} is not of tokens of the vocabulary", CONVERT_AGAIN)
    return left, right


def _bpe(
    vocabulary: GGUFVocabulary,
    merges: list[tuple[str, str]],
    ignore_merges: bool = False,
    byte_fallback: bool = False,
) -> Parts:
    unknown = vocabulary.token_id("unknown") if byte_fallback else None
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None if unknown is None else vocabulary.tokens[unknown],
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": byte_fallback,
        "byte_fallback": byte_fallback,
        "ignore_merges": ignore_merges,
        "vocab": vocabulary.ids,
        "merges": merges,
    }
