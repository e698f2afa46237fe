"""The settings that every contestant runs with: chosen on the tuning streams, then frozen in a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learner.contestants.base import Entry

FILE = Path(__file__).parent / "data" / "settings.json"
OURS = ("mixture", "ridge", "thompson", "ftrl", "river")
MAIN = "ours mixture"
LINUCB = "river linucb"


def our_entries() -> tuple[Entry, ...]:
    """Ours run with what ships."""
    return tuple(Entry(f"ours {kind}", "ours", kind) for kind in OURS)


def read_entries(file: Path = FILE) -> tuple[Entry, ...]:
    """Everybody: ours, and the peers of the file.

    Raises:
        FileNotFoundError: Nothing has been frozen yet.
    """
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: run `python -m benchmarks.learner tune` first")
    content = json.loads(file.read_text(encoding="utf-8"))
    return our_entries() + tuple(Entry(**entry) for entry in content["entries"])


def write_entries(entries: Sequence[Entry], about: Mapping[str, Any], file: Path = FILE) -> None:
    """Freeze the peers' settings, with what is known of how they were chosen."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {**about, "entries": [dataclasses.asdict(entry) for entry in entries]}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
