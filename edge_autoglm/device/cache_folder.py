"""Where this package keeps what can be made again: downloads, exports of the demo, rebuilt plans."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``EDGE_AUTOGLM_CACHE``, or ``edge-autoglm`` in the user's cache folder (XDG base directory specification)."""
    override = os.environ.get("EDGE_AUTOGLM_CACHE")
    if override:
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-autoglm"
