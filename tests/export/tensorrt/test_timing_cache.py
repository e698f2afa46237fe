"""Timings are kept where TensorRT can use them, and never cost a plan.

Only TensorRT on a GPU has a timing cache. Here a recording double stands in for its builder config; nothing is built.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edge_autoglm.export.tensorrt.timing_cache import load_timings, store_timings


class _RecordedCache:
    def __init__(self, held: bytes) -> None:
        self.held = held

    def serialize(self) -> bytes:
        return self.held + b"+new"


class RecordingConfig:
    """Takes timings that begin with ``mine``, and none at all; adds some of its own."""

    def __init__(self) -> None:
        self.cache: _RecordedCache | None = None

    def create_timing_cache(self, held: bytes) -> _RecordedCache:
        return _RecordedCache(held)

    def set_timing_cache(self, cache: _RecordedCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        fits = cache.held[:4] in (b"", b"mine")
        self.cache = cache if fits else self.cache
        return fits

    def get_timing_cache(self) -> _RecordedCache | None:
        return self.cache


def _built_with(file: Path) -> bytes:
    config = RecordingConfig()
    load_timings(config, file)
    store_timings(config, file)
    return file.read_bytes()


def test_timings_are_kept_from_build_to_build(tmp_path: Path) -> None:
    file = tmp_path / "timings"
    assert _built_with(file) == b"+new"
    file.write_bytes(b"mine")
    assert _built_with(file) == b"mine+new"


def test_timings_of_another_gpu_are_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "timings"
    file.write_bytes(b"foreign")
    assert _built_with(file) == b"+new"
    assert f"the timing cache {file} is of another GPU or TensorRT" in caplog.text


def test_a_cache_that_cannot_be_kept_is_only_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = RecordingConfig()
    with caplog.at_level(logging.WARNING):
        load_timings(config, tmp_path)  # a folder
        store_timings(config, tmp_path)
    assert f"the timing cache {tmp_path} cannot be read" in caplog.text
    assert f"the timing cache {tmp_path} cannot be written" in caplog.text
