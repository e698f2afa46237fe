"""Text files and JSON objects of a checkpoint folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edge_autoglm.errors import NotAModel, SourceError

_AGAIN = "Download the checkpoint again."
_MAX_BYTES = 256 << 20
"""Far above the largest tokenizer; no text of a model is larger."""
_MAX_DIGITS = 100
"""Some tokenizers write 10 ** 30 for 'no limit'; what goes on for longer takes quadratic time to parse."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path) -> str:
    """Content of a UTF-8 file.

    Raises:
        NotAModel: It is not UTF-8, or too large to be what its name says.
        SourceError: It cannot be read.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise NotAModel(f"{path} is larger than {_MAX_BYTES >> 20} MB", _AGAIN)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise NotAModel(f"{path} is not UTF-8 text", _AGAIN) from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})", "Check its permissions.") from error


def read_json(path: Path, unique: bool = False) -> dict[str, Any]:
    """Content of a JSON file whose top level is an object.

    Args:
        path: The file.
        unique: Whether a key that occurs twice in an object is an error; otherwise the last one counts.

    Raises:
        NotAModel: It is something else.
        SourceError: It cannot be read.
    """
    return parse_object(read_text(path), str(path), unique)


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The same, or an empty object where there is no such file."""
    return read_json(path) if path.is_file() else {}


def parse_object(text: str, what: str, unique: bool = False) -> dict[str, Any]:
    """A JSON object.

    Args:
        text: JSON.
        what: Where it comes from, for messages.
        unique: As for `read_json`.

    Raises:
        NotAModel: The text is something else.
    """
    try:
        content = json.loads(text, parse_int=_integer, object_pairs_hook=_unique_keys if unique else None)
        if _SURROGATE.search(text):
            # Half a surrogate pair is valid JSON, but no text that could be written to a file.
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise NotAModel(f"{what} is not JSON ({str(error)[:200]})", _AGAIN) from error
    if not isinstance(content, dict):
        raise NotAModel(f"{what} is not a JSON object", _AGAIN)
    return content


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)[:80]!r} occurs twice")
    return content
