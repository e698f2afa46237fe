"""Small JSON files that carry the checksum of their own content, so that a flipped byte is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_CHECKSUM = "checksum"


def seal(content: Mapping[str, Any]) -> bytes:
    """The canonical text (sorted keys, indent 1, newline), checksum included."""
    return _canonical({**content, _CHECKSUM: _digest(content)})


def unseal(data: bytes) -> dict[str, Any]:
    """What ``seal`` was given.

    Raises:
        ValueError: It is not as it was written.
    """
    try:
        content = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict) or _CHECKSUM not in content:
        raise ValueError("it has no checksum")
    content.pop(_CHECKSUM)
    if seal(content) != data:
        raise ValueError("its checksum does not match")
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
