"""When two variants are one: they put every request to the model in the same words, and read its answer alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from edge_autoglm.prompts.rewrite.templates import Slot, outline
from edge_autoglm.prompts.task import Variant

_FOR_PEOPLE = frozenset(("name", "description", "made_by", "origin"))
_SOURCES = frozenset(("prompt", "messages", "answer"))


def fingerprint(variant: Variant) -> str:
    """Hex digest of what decides an answer: not the name, the description or the steps.

    Templates that are only text with inputs in it are compared by what they render to, however it is escaped; others
    by their source.
    """
    content = {key: value for key, value in asdict(variant).items() if key not in _FOR_PEOPLE | _SOURCES}
    content["sources"] = {where: _canonical(source) for where, source in variant.sources().items()}
    content["roles"] = [message["role"] for message in variant.messages or ()]
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _canonical(source: str) -> list[object]:
    parts = None if "labels" in source else outline(source, None, ())
    if parts is None:
        return ["source", source]
    return [[part.name] if isinstance(part, Slot) else part for part in parts]
