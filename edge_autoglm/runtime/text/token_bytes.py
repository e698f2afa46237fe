"""The bytes behind each token, for the two kinds of BPE vocabulary that the supported families use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Protocol

TokenText = Callable[[int], "str | None"]
"""How a token is written in the vocabulary; ``None`` for an id without a token."""

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Vocabulary(Protocol):
    """What each token contributes to decoded text."""

    @property
    def strips_space(self) -> bool:
        """Whether one space at the very start of the text is not part of it."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a special token or an id without a token."""
        ...

    def is_raw_byte(self, token: int) -> bool:
        """Whether the token is one byte of a run that is text only as a whole (byte fallback)."""
        ...


class ByteLevelVocabulary:
    """GPT-2's scheme: every character of a token stands for a byte.

    Args:
        text_of: How a token is written.
        special: Ids that contribute nothing.
    """

    strips_space = False

    def __init__(self, text_of: TokenText, special: Collection[int]) -> None:
        self._text_of = text_of
        self._special = special
        self._byte_of = {char: byte for byte, char in byte_characters().items()}

    def token_bytes(self, token: int) -> bytes:
        """See ``Vocabulary``."""
        text = None if token in self._special else self._text_of(token)
        if text is None:
            return b""
        try:
            return bytes(self._byte_of[char] for char in text)
        except KeyError:  # an added token outside the scheme stands for its own text
            return text.encode()

    def is_raw_byte(self, token: int) -> bool:
        """Never: the bytes of all tokens form one stream."""
        return False


class ByteFallbackVocabulary:
    """SentencePiece's scheme: tokens are text with ``▁`` for a space; ``<0xE4>`` is a byte that no token covers.

    Args:
        text_of: How a token is written.
        special: Ids that contribute nothing.
        strips_space: Whether the decoder drops the space that the encoder put in front.
    """

    def __init__(self, text_of: TokenText, special: Collection[int], strips_space: bool) -> None:
        self._text_of = text_of
        self._special = special
        self.strips_space = strips_space

    def token_bytes(self, token: int) -> bytes:
        """See ``Vocabulary``."""
        text = self._text(token)
        raw = _BYTE_TOKEN.fullmatch(text)
        return bytes.fromhex(raw[1]) if raw else text.replace("▁", " ").encode()

    def is_raw_byte(self, token: int) -> bool:
        """Whether the token is written ``<0x..>``."""
        return _BYTE_TOKEN.fullmatch(self._text(token)) is not None

    def _text(self, token: int) -> str:
        return "" if token in self._special else self._text_of(token) or ""


def byte_characters() -> dict[int, str]:
    """The printable character that stands for each byte in a byte-level BPE (GPT-2, Radford et al. 2019)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
