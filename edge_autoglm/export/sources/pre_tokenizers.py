"""How a byte-level BPE tokenizer cuts text into words, by the name that GGUF files give it.

A ``tokenizer.json`` carries these pipelines itself; a GGUF file only has a name (``tokenizer.ggml.pre``), agreed on in
llama.cpp's ``convert_hf_to_gguf_update.py``. The patterns are those of the original ``tokenizer.json`` files, which
llama.cpp's ``llama-vocab.cpp`` quotes beside its own adaptations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_GPT2_WORDS: dict[str, Any] = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
_DIGITS: dict[str, Any] = {"type": "Digits", "individual_digits": True}
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LLAMA3_PATTERN = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_PATTERN = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """Parts of a ``tokenizers`` file that depend on the pre-tokenizer's name.

    Attributes:
        steps: Members of a ``Sequence`` pre-tokenizer; the last one maps bytes to characters.
        normalizer: Of the text before it is cut, or ``None``.
        ignore_merges: Whether a word that is in the vocabulary is taken whole, without looking at merges.
        add_bos: Whether prompts start with the BOS token where the file does not say.
    """

    steps: tuple[dict[str, Any], ...]
    normalizer: dict[str, Any] | None = None
    ignore_merges: bool = False
    add_bos: bool = False


def _split(pattern: str) -> tuple[dict[str, Any], ...]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return split, {**_GPT2_WORDS, "use_regex": False}


_GPT2 = PreTokenizer((_GPT2_WORDS,))
_SMOLLM = PreTokenizer((_DIGITS, _GPT2_WORDS))
_LLAMA3 = PreTokenizer(_split(_LLAMA3_PATTERN), ignore_merges=True, add_bos=True)
_QWEN2 = PreTokenizer(_split(_QWEN2_PATTERN), normalizer={"type": "NFC"})

PRE_TOKENIZERS = {
    "gpt-2": _GPT2,
    "smollm": _SMOLLM,
    "starcoder": _SMOLLM,
    "refact": _SMOLLM,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
}
