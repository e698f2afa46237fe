from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.bundle import Bundle
from tests.bundle.samples import write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Alone in its parent folder, so that a test can list what lies beside it."""
    return write_bundle(tmp_path / "parent" / "out")
