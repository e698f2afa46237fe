"""JSON objects of a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_autoglm.errors import NotAModel


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file whose top level is an object.

    Raises:
        NotAModel: It is not JSON, or something else than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotAModel(f"{path} is not JSON ({error})", "Download the checkpoint again.") from error
    if not isinstance(content, dict):
        raise NotAModel(f"{path} is not a JSON object", "Download the checkpoint again.")
    return content


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The same, or an empty object where there is no such file."""
    return read_json(path) if path.is_file() else {}
