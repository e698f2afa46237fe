"""Timings of kernels, kept from one build to the next."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from edge_autoglm.bundle.atomic import write_bytes_atomic

_log = logging.getLogger("edge_autoglm")


def load_timings(config: Any, path: Path) -> None:
    """Let a build use the timings of ``path`` and add its own.

    What is missing, or of another GPU or TensorRT, is begun anew.
    """
    try:
        held = path.read_bytes() if path.exists() else b""
    except OSError as error:
        _log.warning("the timing cache %s cannot be read: %s", path, error.strerror)
        held = b""
    if not config.set_timing_cache(config.create_timing_cache(held), ignore_mismatch=False):
        _log.warning("the timing cache %s is of another GPU or TensorRT; it is begun anew", path)
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def store_timings(config: Any, path: Path) -> None:
    """Write what a build used and added. A plan is good without them: where they cannot be written, it is said only."""
    try:
        write_bytes_atomic(path, bytes(config.get_timing_cache().serialize()))
    except OSError as error:
        _log.warning("the timing cache %s cannot be written: %s", path, error.strerror)
