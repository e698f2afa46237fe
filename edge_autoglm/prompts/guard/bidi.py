"""Direction controls that make a text look like another one.

Embeddings, overrides and isolates (Unicode Standard Annex 9) end with their line at the latest. One that is not closed
in its line lets the rest of it, and what an app prints behind the text, be shown in another order than it is read: that
is "Trojan Source" (Boucher & Anderson 2021), of which compilers warn since. An override reorders even ordinary letters,
so that it misleads when it is closed, too. Right-to-left text needs neither: its letters carry their direction, and the
marks (LRM, RLM, ALM) and the balanced embeddings and isolates that apps and keyboards insert pass.
"""

from __future__ import annotations

import re

_EMBEDDINGS = "\u202a\u202b"
_OVERRIDES = "\u202d\u202e"
_POP_EMBEDDING = "\u202c"
_ISOLATES = "\u2066\u2067\u2068"
_POP_ISOLATE = "\u2069"
_CLOSERS = {_POP_EMBEDDING: _EMBEDDINGS, _POP_ISOLATE: _ISOLATES}
_CONTROL = re.compile(f"[{_EMBEDDINGS}{_OVERRIDES}{_POP_EMBEDDING}{_ISOLATES}{_POP_ISOLATE}]")
_CONTROL_OR_END = re.compile(f"{_CONTROL.pattern}|[\n\r\x1c-\x1e\x85\u2029]")
"""The ends are those of a paragraph, at which the algorithm closes what is open."""


def misleading(text: str) -> int | None:
    """Position of the first override, or of a control without its counterpart in the line; ``None`` where all is well.

    >>> misleading("a \u2067b\u2069 c"), misleading("a \u2067b c"), misleading("a \u202eb\u202c c")
    (None, 2, 2)
    """
    if _CONTROL.search(text) is None:  # nearly every text
        return None
    opened: list[re.Match[str]] = []
    for match in _CONTROL_OR_END.finditer(text):
        control = match[0]
        if control in _OVERRIDES:
            return match.start()
        if control in _EMBEDDINGS or control in _ISOLATES:
            opened.append(match)
        elif control in _CLOSERS:
            if not opened or opened.pop()[0] not in _CLOSERS[control]:
                return match.start()
        elif opened:
            return opened[0].start()
    return opened[0].start() if opened else None


def without_direction_controls(text: str) -> str:
    """The text less its embeddings, overrides and isolates; marks stay."""
    return _CONTROL.sub("", text)
