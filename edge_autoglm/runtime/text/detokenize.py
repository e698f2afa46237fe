"""Tokens to text while they are generated, never half a character."""

from __future__ import annotations

import codecs

from edge_autoglm.runtime.text.tokenizer import Tokenizer

_INVALID = "\N{REPLACEMENT CHARACTER}"


class StreamDecoder:
    """Turns one token after the other into text. All pieces together equal ``Tokenizer.decode`` of all tokens.

    The work for a token depends on its own bytes only, not on how many came before.

    Args:
        tokenizer: Of the model that generates the tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._vocabulary = tokenizer.vocabulary
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._run = bytearray()
        self._strip = self._vocabulary.strips_space

    def push(self, token: int) -> str:
        """Text that is complete now; empty while a character is unfinished."""
        piece = self._vocabulary.token_bytes(token)
        if not piece:
            return ""
        if self._vocabulary.is_raw_byte(token):
            self._run += piece
            return ""
        return self._without_first_space(self._end_run() + self._utf8.decode(piece))

    def finish(self) -> str:
        """What is left at the end; bytes that never became a character are U+FFFD, as in ``Tokenizer.decode``."""
        return self._without_first_space(self._end_run() + self._utf8.decode(b"", final=True))

    def _end_run(self) -> str:
        """A run of byte tokens is text as a whole, or each byte is invalid: the rule of ByteFallback."""
        run = bytes(self._run)
        self._run.clear()
        try:
            return run.decode()
        except UnicodeDecodeError:
            return _INVALID * len(run)

    def _without_first_space(self, text: str) -> str:
        if not (self._strip and text):
            return text
        self._strip = False
        return text.removeprefix(" ")
