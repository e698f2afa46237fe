"""A model's vocabulary as the grammar engine sees it: the very bytes that the stream decoder writes."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from edge_autoglm.errors import MissingDependency, RequestError
from edge_autoglm.runtime.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLTokenizer, TokenizerWrapper

_NEVER_TEXT = b"\xff"
"""llguidance's mark of control tokens. It is no byte of UTF-8, so a raw byte token of it can be left out."""


class GrammarVocabulary:
    """A model's tokens, indexed for llguidance on first use; thread-safe.

    Args:
        tokenizer: Of the model.
        size: Rows of the engine's logits.
        eos_token_ids: Tokens that end an answer.
    """

    def __init__(self, tokenizer: Tokenizer, size: int, eos_token_ids: Collection[int]) -> None:
        self.size = size
        self.eos_token_ids = frozenset(token for token in eos_token_ids if token < size)
        self.leading_space = tokenizer.vocabulary.strips_space
        """Whether answers begin with a space that is not part of them."""
        self._tokenizer = tokenizer
        self._loading = threading.Lock()
        self._loaded: LLTokenizer | None = None

    def load(self) -> LLTokenizer:
        """The index; half a second for 50,000 tokens, the first time.

        Raises:
            MissingDependency: The extra ``structured`` is not installed.
            RequestError: There is no end-of-sequence token.
        """
        with self._loading:
            if self._loaded is None:
                self._loaded = self._index()
            return self._loaded

    def _index(self) -> LLTokenizer:
        try:
            from llguidance import LLTokenizer
        except ImportError as error:
            raise MissingDependency(
                "an answer of a given form needs the package llguidance",
                'Install it: pip install "edge-autoglm[structured]".',
            ) from error
        if not self.eos_token_ids:
            raise RequestError(
                "the model has no end-of-sequence token, with which an answer of a given form could end",
                "Ask without a form, or export the model with its generation settings.",
            )
        tokens = GrammarTokens(self._tokenizer, self.size, self.eos_token_ids)
        return LLTokenizer(cast("TokenizerWrapper", tokens), eos_token=sorted(self.eos_token_ids))


class GrammarTokens:
    """What ``llguidance.LLTokenizer`` asks of a tokenizer (the members of its ``TokenizerWrapper``).

    llguidance can read a ``tokenizer.json`` itself, but then writes the control token where a grammar spells out its
    text, as in the JSON string ``"<|im_end|>"``: the answer would end there.

    Args:
        tokenizer: Of the model.
        vocab_size: Rows of the engine's logits; ids that the tokenizer does not know are never allowed.
        eos_token_ids: At least one. They end an answer and are never part of it, whatever the tokenizer calls them.
    """

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos_token_ids: Collection[int]) -> None:
        self._tokenizer = tokenizer
        special = tokenizer.special_ids | set(eos_token_ids)
        self.eos_token_id = min(eos_token_ids)
        self.special_token_ids = [token for token in range(vocab_size) if token in special]
        self.tokens = [
            b"<%d>" % token if token in special else _text_bytes(tokenizer.token_bytes(token))
            for token in range(vocab_size)
        ]
        self._byte_tokens = {bytes_[0]: token for token, bytes_ in enumerate(self.tokens) if len(bytes_) == 1}

    def __call__(self, text: str) -> Sequence[int]:
        """The tokens with which the model would write a text that a grammar forces."""
        return next((ids for ids in self._spellings(text) if self._spells(ids, text)), ())

    def _spellings(self, text: str) -> Iterator[Sequence[int]]:
        yield self._encode(text)
        # SentencePiece's encoder puts a space in front, which is none in the midst of an answer.
        yield self._encode(text.removeprefix(" "))
        yield self._behind_newline(self._encode("\n" + text))
        # A normalizer may alter the text; bytes never change.
        yield [self._byte_tokens[byte] for byte in text.encode() if byte in self._byte_tokens]

    def _encode(self, text: str) -> list[int]:
        ids = self._tokenizer.encode(self._tokenizer.shield(text))
        return ids if max(ids, default=0) < len(self.tokens) else []

    def _behind_newline(self, ids: list[int]) -> list[int]:
        begin = next((i + 1 for i, token in enumerate(ids) if self.tokens[token] == b"\n"), len(ids))
        return ids[begin:]

    def _spells(self, ids: Sequence[int], text: str) -> bool:
        return b"".join(self.tokens[token] for token in ids) == text.encode()


def _text_bytes(token_bytes: bytes) -> bytes:
    return b"" if token_bytes.startswith(_NEVER_TEXT) else token_bytes
