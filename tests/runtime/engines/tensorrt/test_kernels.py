"""What TensorRT-RTX compiled for a GPU is found again by the next process. Nothing is compiled here: see the double."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edge_autoglm.runtime.engines.standard.sizes import StepShape
from tests.runtime.engines.tensorrt.conftest import OpenBackend
from tests.runtime.engines.tensorrt.recording_tensorrt import Record

SHORT, LONG = StepShape(4, 1, 256, 4), StepShape(4, 1, 512, 4)


def _run(open_backend: OpenBackend, kernels: Path, *shapes: StepShape) -> None:
    kv = open_backend(kernels=kernels).kv(4)
    for shape in shapes:
        step = kv.bind(0, shape)
        for _ in range(3):
            step.run(1)


def _shapes(kernels: Path) -> list[str]:
    return kernels.read_text("utf-8").split("\n")


def test_kernels_of_each_shape_are_kept_once_it_has_run(open_backend: OpenBackend, tmp_path: Path) -> None:
    kernels = tmp_path / "plans" / "1234.kernels"
    _run(open_backend, kernels, SHORT)
    assert _shapes(kernels) == ["(4, 1, 1, 256)"]
    _run(open_backend, kernels, LONG)  # in another process: what it was given is kept, too
    assert _shapes(kernels) == ["(4, 1, 1, 256)", "(4, 1, 1, 512)"]
    assert [file.name for file in kernels.parent.iterdir()] == ["1234.kernels"]


def test_they_are_looked_at_once_a_shape_whoever_runs_it(
    open_backend: OpenBackend, record: Record, tmp_path: Path
) -> None:
    """Every swap makes a fork, whose steps run for the first time; to write out what was compiled takes time."""
    backend = open_backend(kernels=tmp_path / "kernels")
    for _ in range(3):
        kv = backend.kv(8)
        for row in (0, 4):
            for shape in (SHORT, LONG):
                kv.bind(row, shape).run(1)
    [cache] = {context._config._cache for context in record.contexts}
    assert cache._written == 2


def test_what_is_there_already_is_not_written_again(open_backend: OpenBackend, tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    _run(open_backend, kernels, SHORT, LONG)
    before = kernels.stat()
    _run(open_backend, kernels, LONG)
    assert (kernels.stat().st_ino, kernels.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_kernels_of_another_gpu_are_replaced(
    open_backend: OpenBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernels = tmp_path / "kernels"
    kernels.write_text("of another GPU", "utf-8")
    with caplog.at_level(logging.INFO, "edge_autoglm"):
        _run(open_backend, kernels, SHORT)
    assert "are made anew" in caplog.text
    assert _shapes(kernels) == ["(4, 1, 1, 256)"]


def test_where_nothing_can_be_kept_steps_run_and_that_is_said_once(
    open_backend: OpenBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "edge_autoglm"):
        _run(open_backend, tmp_path / "file" / "kernels", SHORT)
    assert [message.split(":")[0] for message in caplog.messages] == [
        f"the compiled kernels in {tmp_path / 'file' / 'kernels'} cannot be read",
        f"the compiled kernels cannot be kept in {tmp_path / 'file' / 'kernels'}",
    ]


def test_tensorrt_itself_has_none(open_backend: OpenBackend, tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    kv = open_backend(name="tensorrt", kernels=kernels).kv(4)
    kv.bind(0, SHORT).run(1)
    assert not kernels.exists()
