"""Which texts a tokenizer can take."""

from __future__ import annotations


def unusable(text: str) -> str | None:
    """Why the text can be no part of a prompt, as the rest of a sentence; ``None`` if it can."""
    if "\0" in text:
        return f"has a NUL character at position {text.index(chr(0))}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"has half a surrogate pair at position {error.start}"
    return None
