"""Characters that are no part of ordinary text in any script.

Pass: tab, line breaks of every kind, format characters that scripts and emoji need (joiners, direction marks, soft
hyphens, variation selectors). What is left:

- *Control characters*: the C0 and C1 sets but white space, DEL, and Unicode's noncharacters. A terminal acts on them;
  a model was hardly taught them.
- *Hidden text*: tag characters outside an emoji flag, and runs of variation selectors. No font shows them and a model
  reads them, so that a message can carry one that nobody sees ("ASCII smuggling").
"""

from __future__ import annotations

import re

_CONTROL = re.compile(
    "[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
_TAGS = re.compile(f"(?P<flag>{_FLAG})|[\U000e0000-\U000e007f]+")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}")


def first_control(text: str) -> int | None:
    """Position of the first control character; ``None`` where there is none."""
    match = _CONTROL.search(text)
    return None if match is None else match.start()


def first_hidden(text: str) -> int | None:
    """Position of the first hidden text; ``None`` where there is none."""
    if text.isascii():
        return None
    tags = next((match.start() for match in _TAGS.finditer(text) if match["flag"] is None), None)
    selectors = _SELECTORS.search(text)
    found = [position for position in (tags, selectors and selectors.start()) if position is not None]
    return min(found, default=None)


def without_control(text: str) -> str:
    """The text less its control characters."""
    return _CONTROL.sub("", text)


def without_hidden(text: str) -> str:
    """The text less what is hidden in it."""
    # Tags first: selectors on either side of some would make a run.
    return _SELECTORS.sub("", _TAGS.sub(lambda match: match["flag"] or "", text))
