"""Keeps untrusted text from spelling out control tokens.

A chat prompt is one text in which ``<|im_end|>`` ends a turn. A user who types these characters must not end it. So a
covered text holds a *placeholder*, one private-use character, for each control token spelled out; the tokenizer turns
it into ordinary tokens of the same characters. Nor can a control token be forged by a placeholder in the text itself,
by spelling it around a placeholder, or by cutting it in two between neighbouring inputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_FIRST_PLACEHOLDER = 0x100000
_APART = "\U0010fffd"
"""Marks the next character as itself, to be encoded apart from its neighbours."""


class Shield:
    """Covers the given control tokens; immutable.

    Args:
        literals: Texts of the control tokens.
    """

    def __init__(self, literals: Iterable[str]) -> None:
        # Longest first: of two that start alike, the tokenizer takes the longer one too.
        self._literals = sorted({text for text in literals if text}, key=lambda text: (-len(text), text))
        self._placeholders = {text: chr(_FIRST_PLACEHOLDER + i) for i, text in enumerate(self._literals)}
        self._covered = {placeholder: text for text, placeholder in self._placeholders.items()}
        private = f"[{_APART}{chr(_FIRST_PLACEHOLDER)}-{chr(_FIRST_PLACEHOLDER + len(self._literals))}]"
        self._to_cover = re.compile("|".join([*map(re.escape, self._literals), private]))
        self._to_uncover = re.compile(f"{_APART}.?|{private}", re.DOTALL)

    def cover(self, text: str) -> str:
        """Replace control tokens by placeholders; a text without any is returned unchanged."""
        covered = self._to_cover.sub(lambda match: self._placeholders.get(match[0], _APART + match[0]), text)
        first_apart = any(_cut(covered, literal, at_end=False) for literal in self._literals)
        last_apart = any(_cut(covered, literal, at_end=True) for literal in self._literals)
        if last_apart and not (first_apart and len(covered) == 1):
            covered = covered[:-1] + _APART + covered[-1]
        return _APART + covered if first_apart else covered

    def uncover(self, text: str) -> str:
        """Undo ``cover``."""
        return "".join(piece for piece, _ in self.split(text))

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """Pieces of the original text that must be encoded apart, each with whether it is a covered control token."""
        begin = 0
        for match in self._to_uncover.finditer(text):
            if match.start() > begin:
                yield text[begin : match.start()], False
            mark = match[0]
            if mark in self._covered:
                yield self._covered[mark], True
            else:
                yield mark.removeprefix(_APART) or mark, False
            begin = match.end()
        if begin < len(text):
            yield text[begin:], False


def _cut(text: str, literal: str, at_end: bool) -> bool:
    """Whether the text ends with the greater half of a control token, or starts with it.

    Wherever one is cut in two, one of the parts is at least a half; smaller parts occur in innocent text.
    """
    longest = min(len(text), len(literal) - 1)
    lengths = range(longest, (len(literal) + 1) // 2 - 1, -1)
    if at_end:
        return any(text.endswith(literal[:length]) for length in lengths)
    return any(text.startswith(literal[-length:]) for length in lengths)
