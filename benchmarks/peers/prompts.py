"""Prompts of an exact number of tokens, the same for all contestants, no two of them with a common beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.peers.protocol import Prompt

Encode = Callable[[str], list[int]]
Decode = Callable[[Sequence[int]], str]
_STRIDE = 61
"""Tokens between the beginnings of two prompts; a prime, so that going round the text begins elsewhere."""


class PromptSource:
    """Cuts prompts out of a text. Equal calls in equal order give equal prompts.

    Args:
        text: Long enough for the longest prompt.
        encode: Text to tokens.
        decode: Tokens to text.
    """

    def __init__(self, text: str, encode: Encode, decode: Decode) -> None:
        self._tokens = encode(text)
        self._encode, self._decode = encode, decode
        self._next = 0
        self._begun: set[int] = set()

    def take(self, length: int, prefix: Sequence[int] = ()) -> Prompt:
        """A prompt of ``length`` tokens that no call has returned before.

        Args:
            length: In all.
            prefix: Tokens with which it begins, from another prompt.

        Raises:
            ValueError: The text is too short for another one.
        """
        rest = length - len(prefix)
        places = len(self._tokens) - rest
        for _ in range(places):
            start, self._next = self._next % places, self._next + _STRIDE
            tokens = [*prefix, *self._tokens[start : start + rest]]
            text = self._decode(tokens)
            # A cut within a word or a character may read as other tokens than those that were cut out.
            if start not in self._begun and self._encode(text) == tokens:
                self._begun.add(start)
                return Prompt(tokens, text)
        raise ValueError(f"the text has no other {rest} tokens")
