"""Stores over one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_autoglm.knowledge.database import Database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Not made yet."""
    return tmp_path / "state" / "knowledge.sqlite3"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    """Over that file."""
    opened = Database(file)
    yield opened
    opened.close()
