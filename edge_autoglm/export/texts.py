"""Texts that an export reads: one that sets quantisation parameters, another that measures what they changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge_autoglm.errors import UnusableText


@dataclass(frozen=True, slots=True)
class Text:
    """A text and where it is from.

    Attributes:
        name: File, for messages.
        content: The text.
    """

    name: str
    content: str

    @property
    def sha256(self) -> str:
        """Of its UTF-8 form."""
        return hashlib.sha256(self.content.encode()).hexdigest()


def calibration_text() -> Text:
    """The text that ships for calibration: fiction, technical prose, encyclopaedia, dialogue, code, some Chinese."""
    return _shipped("calibration.txt")


def heldout_text() -> Text:
    """The text that ships for the proof: the same genres, from other works than `calibration_text`."""
    return _shipped("heldout.txt")


def read_text_file(path: Path) -> Text:
    """A user's own text.

    Raises:
        UnusableText: The file is missing, unreadable, not UTF-8 or empty.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UnusableText(
            f"the text {path} cannot be read: {(error.strerror or str(error)).lower()}", "Check its path."
        ) from error
    except UnicodeDecodeError as error:
        raise UnusableText(
            f"the text {path} is not UTF-8: byte {error.start} is no part of a character",
            f"Convert it, for example: iconv -t UTF-8 {path}.",
        ) from error
    if not content.strip():
        raise UnusableText(f"the text {path} is empty", "Give a text of the kind that the model will meet.")
    return Text(str(path), content)


def _shipped(name: str) -> Text:
    return Text(name, files("edge_autoglm.data").joinpath(name).read_text(encoding="utf-8"))
