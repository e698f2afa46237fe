"""Text to token ids and back, exact to the byte."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import tokenizers

from edge_autoglm.errors import InputRejected, UnsupportedModel
from edge_autoglm.runtime.text.shield import Shield
from edge_autoglm.runtime.text.token_bytes import ByteFallbackVocabulary, ByteLevelVocabulary, Vocabulary

_CONTINUATIONS = ("", " a", "  ", "\n", "\n\n", "'s", *"aZ1.,_-)中好，é\u0301🙂")
"""One text of every class that pre-tokenizers tell apart: what may follow a prompt's static part."""


class Tokenizer:
    """A ``tokenizers`` file, with the texts of special tokens in untrusted input made harmless.

    Immutable and safe to use from several threads.

    Args:
        source: Path of a ``tokenizer.json``, or its content.

    Raises:
        UnsupportedModel: It is not a tokenizer file, or one that is neither byte-level nor byte-fallback BPE.
    """

    def __init__(self, source: Path | str) -> None:
        name = str(source) if isinstance(source, Path) else "the tokenizer"
        content, self._tokenizer = _load(source, name)
        added = self._tokenizer.get_added_tokens_decoder()
        special = {i: token.content for i, token in added.items() if token.special}
        self._special_ids = frozenset(special)
        self._vocabulary = _vocabulary(self._tokenizer, self._special_ids, name)
        self._shield = Shield(special.values())
        # Scoring asks for the tokens of one prompt once a label.
        self._encode = functools.lru_cache(maxsize=8)(_Encoder(self._tokenizer, self._shield, special))
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def vocab_size(self) -> int:
        """Number of tokens; a model may have more rows than its tokenizer has tokens."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids of the control tokens, which have no text of their own."""
        return self._special_ids

    @property
    def vocabulary(self) -> Vocabulary:
        """What each token contributes to decoded text."""
        return self._vocabulary

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without a BOS token.

        Special tokens that the text spells out are parsed, those that ``shield`` covered become ordinary tokens.

        Raises:
            InputRejected: The text holds a lone surrogate.
        """
        return list(self._encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids; special tokens are left out, bytes that are no UTF-8 become U+FFFD."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a special token or an id without a token."""
        return self._vocabulary.token_bytes(token)

    def token_id(self, token: str) -> int:
        """Id of a token by its text in the vocabulary, such as ``<|im_end|>``.

        Raises:
            UnsupportedModel: There is no such token.
        """
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise UnsupportedModel(f"the tokenizer has no token {token!r}", "Export the model again.")
        return int(found)

    def shield(self, text: str) -> str:
        """Cover every special token that an untrusted text spells out; a text without any is returned unchanged."""
        return self._shield.cover(text)

    def count_markers(self, text: str) -> int:
        """How many special tokens an untrusted text spells out: those that ``shield`` covers."""
        return sum(is_special for _, is_special in self._shield.split(self._shield.cover(text)))

    def unshield(self, text: str) -> str:
        """Undo ``shield``."""
        return self._shield.uncover(text)

    def stable_tokens(self, text: str) -> list[int]:
        """The leading tokens of ``text`` that stay the same whatever follows it.

        Found by encoding it with a sample of continuations: the last tokens may merge with what comes. A rare merge may
        be missed, so whoever relies on them compares tokens.
        """
        stable = self.encode(text + _CONTINUATIONS[0])
        for continuation in _CONTINUATIONS[1:]:
            stable = stable[: _common_length(stable, self.encode(text + continuation))]
        return stable


class _Encoder:
    """Text with placeholders to token ids.

    Args:
        tokenizer: Parses special tokens.
        shield: Finds the placeholders.
        special: Texts of the special tokens by id.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, shield: Shield, special: Mapping[int, str]) -> None:
        self._tokenizer = tokenizer
        self._shield = shield
        self._plain = {text: self._spelled_out(text, special) for text in special.values()}

    def __call__(self, text: str) -> tuple[int, ...]:
        ids: list[int] = []
        for piece, is_special in self._shield.split(text):
            ids.extend(self._plain[piece] if is_special else self._ids(piece))
        return tuple(ids)

    def _ids(self, text: str) -> list[int]:
        try:
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        except TypeError as error:
            raise InputRejected(
                f"the text {text[:40]!r} holds half of a surrogate pair, which is no character",
                "Decode the text with errors='replace' before you hand it over.",
            ) from error

    def _spelled_out(self, literal: str, special: Mapping[int, str]) -> list[int]:
        """Tokens of a special token's text, none of which is special: it is cut, so that the tokenizer cannot find it.

        One of a single character has no other spelling, and is dropped.
        """
        for cut in range(1, len(literal)):
            ids = [*self._ids(literal[:cut]), *self._ids(literal[cut:])]
            if special.keys().isdisjoint(ids):
                return ids
        return []


def _load(source: Path | str, name: str) -> tuple[str, tokenizers.Tokenizer]:
    try:
        content = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        tokenizer = tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the binding raises plain Exception
        raise UnsupportedModel(
            f"{name} is not a tokenizer file that this version of tokenizers reads: {error}",
            "Export the model again, or update the package tokenizers.",
        ) from error
    # A file may carry the settings of its training; both would alter a prompt in silence.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return content, tokenizer


def _vocabulary(tokenizer: tokenizers.Tokenizer, special: frozenset[int], name: str) -> Vocabulary:
    """Tell by its decoder's behaviour which scheme a tokenizer follows."""

    def decoded(*tokens: str) -> str:
        return "" if tokenizer.decoder is None else str(tokenizer.decoder.decode(list(tokens)))

    if decoded("Ġa", "Ã", "©") == " aé":
        return ByteLevelVocabulary(tokenizer.id_to_token, special)
    if decoded("a", "▁b", "<0xC3>", "<0xA9>", "c", "<0xC3>") == "a béc\ufffd":
        return ByteFallbackVocabulary(tokenizer.id_to_token, special, strips_space=decoded("▁b") == "b")
    raise UnsupportedModel(
        f"{name} has a decoder that is neither byte-level nor byte-fallback: its text cannot be streamed exactly",
        "Use a model with a byte-level or byte-fallback BPE tokenizer.",
    )


def _common_length(left: Sequence[int], right: Sequence[int]) -> int:
    for i, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return i
    return min(len(left), len(right))
