"""Text files and JSON objects of a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_autoglm.errors import NotAModel

_AGAIN = "Download the checkpoint again."


def read_text(path: Path) -> str:
    """Content of a UTF-8 file.

    Raises:
        NotAModel: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise NotAModel(f"{path} is not UTF-8 text", _AGAIN) from error


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file whose top level is an object.

    Raises:
        NotAModel: It is something else.
    """
    return parse_object(read_text(path), str(path))


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The same, or an empty object where there is no such file."""
    return read_json(path) if path.is_file() else {}


def parse_object(text: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        NotAModel: The text is something else.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAModel(f"{what} is not JSON ({error})", _AGAIN) from error
    if not isinstance(content, dict):
        raise NotAModel(f"{what} is not a JSON object", _AGAIN)
    return content
