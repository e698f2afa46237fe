"""Machines made of files: what the kernel would show below ``/``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def machine(root: Path, files: Mapping[str, str]) -> Path:
    """A file system with these files; returns its root."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root
